package api

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func (s *Server) requestPasswordReset(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Email string `json:"email"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	return noContent(w, s.Identity.RequestPasswordReset(r.Context(), body.Email, s.clientOf(r)))
}

func (s *Server) resetPassword(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token    string `json:"token"`
		Password string `json:"password"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	return noContent(w, s.Identity.ResetPassword(r.Context(), body.Token, body.Password))
}

func (s *Server) changePassword(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		CurrentPassword string `json:"currentPassword"`
		NewPassword     string `json:"newPassword"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	userID := auth.PrincipalOf(r.Context()).UserID
	session, err := s.Identity.ChangePassword(r.Context(), userID, body.CurrentPassword, body.NewPassword, s.clientOf(r))
	if err != nil {
		return err
	}
	s.answerSession(w, r, session)
	return nil
}
