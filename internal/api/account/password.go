package account

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func (h *Handlers) requestPasswordReset(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Email string `json:"email"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.RequestPasswordReset(r.Context(), body.Email, h.clientOf(r)))
}

func (h *Handlers) resetPassword(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token    string `json:"token"`
		Password string `json:"password"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.ResetPassword(r.Context(), body.Token, body.Password))
}

func (h *Handlers) changePassword(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		CurrentPassword string `json:"currentPassword"`
		NewPassword     string `json:"newPassword"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	userID := auth.PrincipalOf(r.Context()).UserID
	session, err := h.Identity.ChangePassword(r.Context(), userID, body.CurrentPassword, body.NewPassword, h.clientOf(r))
	if err != nil {
		return err
	}
	h.answerSession(w, r, session)
	return nil
}
