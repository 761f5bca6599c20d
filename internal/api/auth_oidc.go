package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

const (
	// attemptCookieName names the cookie with the attempt that the browser began.
	attemptCookieName = auth.CookiePrefix + "sign_in"
	attemptLife       = 10 * time.Minute
)

func (s *Server) listProviders(w http.ResponseWriter, _ *http.Request) error {
	type provider struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	providers := []provider{}
	for _, known := range s.Identity.Providers() {
		providers = append(providers, provider{known.Name(), known.Title()})
	}
	writeJSON(w, http.StatusOK, providers)
	return nil
}

func (s *Server) beginExternal(w http.ResponseWriter, r *http.Request) error {
	provider := chi.URLParam(r, "provider")
	address, attempt, err := s.Identity.BeginExternal(r.Context(), provider)
	if err != nil {
		return err
	}
	s.setCookie(w, attemptCookieName, strings.Join([]string{provider, attempt.State, attempt.Nonce, attempt.Verifier}, "."), attemptLife)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusFound)
	return nil
}

func (s *Server) finishExternal(w http.ResponseWriter, r *http.Request) error {
	provider := chi.URLParam(r, "provider")
	attempt, err := s.attemptOf(r, provider)
	if err != nil {
		return err
	}
	signedIn, err := s.Identity.FinishExternal(r.Context(), provider, attempt, r, s.clientOf(r))
	if !errors.Is(err, identity.ErrOtherAttempt) {
		s.setCookie(w, attemptCookieName, "", 0)
	}
	if err != nil {
		return err
	}
	to := "/"
	if signedIn.Challenge != "" {
		to = "/second-factor#challenge=" + url.QueryEscape(signedIn.Challenge)
	} else {
		noteSignIn(r, signedIn.Session)
		s.setCookie(w, sessionCookieName, signedIn.Session.Token, identity.SessionLife)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.PublicURL+to, http.StatusFound)
	return nil
}

// attemptOf reads the attempt that the browser began with a provider.
func (s *Server) attemptOf(r *http.Request, provider string) (identity.Attempt, error) {
	cookie, err := r.Cookie(s.cookieName(attemptCookieName))
	if err != nil {
		return identity.Attempt{}, identity.ErrOtherAttempt
	}
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 4 || parts[0] != provider {
		return identity.Attempt{}, identity.ErrOtherAttempt
	}
	return identity.Attempt{State: parts[1], Nonce: parts[2], Verifier: parts[3]}, nil
}
