package api

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// authorize lets a request pass that its route's rule lets in. It must be a
// middleware of the routes themselves: before routing, the route is not known.
func (s *Server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, declared := rules[r.Method+" "+chi.RouteContext(r.Context()).RoutePattern()]
		if !declared {
			s.fail(w, r, fault.New(fault.Forbidden, "nobody may use this route"))
			return
		}
		s.Require(rule)(next).ServeHTTP(w, r)
	})
}

// Require makes a middleware that lets in whom the rule does.
func (s *Server) Require(rule auth.Rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Another site's page, or a sandbox's, must not sign a browser in as
			// somebody else. Programs do not say where they come from and pass.
			if err := new(http.CrossOriginProtection).Check(r); rule.IsPublic() && err != nil {
				s.fail(w, r, fault.Wrap(fault.Forbidden, err, "a page of another origin may not do this"))
				return
			}
			principal, err := s.Authenticator.Authorize(r.Context(), rule, s.credentialsOf(r))
			audit.SetPrincipal(r.Context(), principal)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(auth.WithPrincipal(r.Context(), principal)))
		})
	}
}

func (s *Server) credentialsOf(r *http.Request) auth.Credentials {
	given := auth.Credentials{
		APIKey: r.Header.Get(auth.APIKeyHeader), AdminToken: r.Header.Get(auth.AdminTokenHeader),
		CSRF: r.Header.Get(auth.CSRFHeader), Unsafe: r.Method != http.MethodGet && r.Method != http.MethodHead,
		HeaderTeam: r.Header.Get(auth.TeamHeader), PathTeam: chi.URLParam(r, "teamID"),
		Address: s.Clients.Address(r),
	}
	if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		given.Bearer = token
	}
	if cookie, err := r.Cookie(s.sessionCookie()); err == nil {
		given.Session = cookie.Value
	}
	return given
}
