package account

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

const (
	// attemptCookieName names the cookie with the attempt that the browser began.
	attemptCookieName = auth.CookiePrefix + "sign_in"
	attemptLife       = 10 * time.Minute
)

func (h *Handlers) listProviders(w http.ResponseWriter, _ *http.Request) error {
	type provider struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	providers := []provider{}
	for _, known := range h.Identity.Providers() {
		providers = append(providers, provider{known.Name(), known.Title()})
	}
	respond.JSON(w, http.StatusOK, providers)
	return nil
}

func (h *Handlers) beginExternal(w http.ResponseWriter, r *http.Request) error {
	provider := chi.URLParam(r, "provider")
	address, attempt, err := h.Identity.BeginExternal(r.Context(), provider)
	if err != nil {
		return err
	}
	h.Access.SetCookieForForms(w, attemptCookieName, strings.Join([]string{provider, attempt.State, attempt.Nonce, attempt.Verifier}, "."), attemptLife)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusFound)
	return nil
}

func (h *Handlers) finishExternal(w http.ResponseWriter, r *http.Request) error {
	provider := chi.URLParam(r, "provider")
	attempt, err := h.attemptOf(r, provider)
	if err != nil {
		return err
	}
	signedIn, err := h.Identity.FinishExternal(r.Context(), provider, attempt, r, h.clientOf(r))
	if !errors.Is(err, identity.ErrOtherAttempt) {
		h.Access.SetCookieForForms(w, attemptCookieName, "", 0)
	}
	if err != nil {
		return err
	}
	to := "/"
	if signedIn.Challenge != "" {
		to = "/second-factor#challenge=" + url.QueryEscape(signedIn.Challenge)
	} else {
		noteSignIn(r, signedIn.Session)
		h.Access.SetCookie(w, access.SessionCookie, signedIn.Session.Token, identity.SessionLife)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, h.Access.PublicURL+to, http.StatusFound)
	return nil
}

// attemptOf reads the attempt that the browser began with a provider.
func (h *Handlers) attemptOf(r *http.Request, provider string) (identity.Attempt, error) {
	cookie, err := r.Cookie(h.Access.CookieName(attemptCookieName))
	if err != nil {
		return identity.Attempt{}, identity.ErrOtherAttempt
	}
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 4 || parts[0] != provider {
		return identity.Attempt{}, identity.ErrOtherAttempt
	}
	return identity.Attempt{State: parts[1], Nonce: parts[2], Verifier: parts[3]}, nil
}
