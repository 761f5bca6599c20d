package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

const (
	// attemptCookieName holds what ties a browser that comes back to the one that
	// left.
	attemptCookieName = auth.CookiePrefix + "sign_in"
	attemptLife       = 10 * time.Minute
)

func (s *Server) listProviders(w http.ResponseWriter, _ *http.Request) error {
	type provider struct {
		Name string `json:"name"`
	}
	providers := []provider{}
	for name := range s.Identity.Providers {
		providers = append(providers, provider{name})
	}
	slices.SortFunc(providers, func(a, b provider) int { return strings.Compare(a.Name, b.Name) })
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
	provider, query := chi.URLParam(r, "provider"), r.URL.Query()
	attempt, err := s.attemptOf(r, provider, query.Get("state"))
	if err != nil {
		return err
	}
	s.setCookie(w, attemptCookieName, "", 0)
	if query.Get("error") != "" {
		return fault.New(fault.Unauthenticated, "the sign-in service did not let you in")
	}
	signedIn, err := s.Identity.FinishExternal(r.Context(), provider, attempt, query.Get("code"), s.clientOf(r))
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

// attemptOf checks that the browser that came back is the one that left.
func (s *Server) attemptOf(r *http.Request, provider, state string) (identity.Attempt, error) {
	refusal := fault.New(fault.Unauthenticated, "state: this sign-in was not begun in this browser, or too long ago")
	cookie, err := r.Cookie(s.cookieName(attemptCookieName))
	if err != nil {
		return identity.Attempt{}, refusal
	}
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 4 || parts[0] != provider || !auth.Equal(state, parts[1]) {
		return identity.Attempt{}, refusal
	}
	return identity.Attempt{State: parts[1], Nonce: parts[2], Verifier: parts[3]}, nil
}
