package api

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

type tokenBody struct {
	Token string `json:"token"`
}

func (s *Server) showInvitation(w http.ResponseWriter, r *http.Request) error {
	var body tokenBody
	if err := decode(r, &body); err != nil {
		return err
	}
	invitation, err := s.Identity.ShowInvitation(r.Context(), body.Token)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		TeamName   string `json:"teamName"`
		Email      string `json:"email"`
		Role       string `json:"role"`
		HasAccount bool   `json:"hasAccount"`
	}(invitation))
	return nil
}

func (s *Server) registerInvited(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token    string `json:"token"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	wanted := identity.NewUser{Name: body.Name, Password: body.Password}
	session, err := s.Identity.RegisterInvited(r.Context(), body.Token, wanted, s.clientOf(r))
	if err != nil {
		return err
	}
	s.answerSession(w, r, session)
	return nil
}

func (s *Server) acceptInvitation(w http.ResponseWriter, r *http.Request) error {
	var body tokenBody
	if err := decode(r, &body); err != nil {
		return err
	}
	teamID, err := s.Identity.AcceptInvitation(r.Context(), auth.PrincipalOf(r.Context()), body.Token)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		TeamID string `json:"teamID"`
	}{teamID.String()})
	return nil
}
