package account

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// makeLocalLink wants the admin token itself: a session that may administer could else
// become another user.
func (h *Handlers) makeLocalLink(w http.ResponseWriter, r *http.Request) error {
	if auth.PrincipalOf(r.Context()).Kind != auth.ByAdminToken {
		return fault.New(fault.Forbidden, "this needs the admin token, in the header %s", auth.AdminTokenHeader)
	}
	link, expires, err := h.Identity.LocalSignInLink(r.Context())
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusCreated, struct {
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{link, expires.UTC()})
	return nil
}

func (h *Handlers) signInLocally(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Token string `json:"token"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	signedIn, err := h.Identity.SignInLocally(r.Context(), body.Token, h.FirstTeam, h.clientOf(r))
	if err != nil {
		return err
	}
	h.answerSignIn(w, r, signedIn)
	return nil
}
