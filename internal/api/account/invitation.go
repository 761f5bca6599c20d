package account

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

type tokenBody struct {
	Token string `json:"token"`
}

func (h *Handlers) showInvitation(w http.ResponseWriter, r *http.Request) error {
	var body tokenBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	invitation, err := h.Identity.ShowInvitation(r.Context(), body.Token)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		TeamName   string    `json:"teamName"`
		Email      string    `json:"email"`
		Role       auth.Role `json:"role"`
		HasAccount bool      `json:"hasAccount"`
	}(invitation))
	return nil
}

func (h *Handlers) registerInvited(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token    string `json:"token"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	wanted := identity.NewUser{Name: body.Name, Password: body.Password}
	session, err := h.Identity.RegisterInvited(r.Context(), body.Token, wanted, h.clientOf(r))
	if err != nil {
		return err
	}
	h.answerSession(w, r, session)
	return nil
}

func (h *Handlers) acceptInvitation(w http.ResponseWriter, r *http.Request) error {
	var body tokenBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	teamID, err := h.Identity.AcceptInvitation(r.Context(), auth.PrincipalOf(r.Context()), body.Token)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		TeamID string `json:"teamID"`
	}{teamID.String()})
	return nil
}
