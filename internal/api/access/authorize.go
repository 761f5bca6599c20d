package access

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// Authorize refuses requests that the rule of their route does not accept. It must be a
// middleware of the routes themselves: before routing, the route is not known.
func (c *Control) Authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, declared := Rules[r.Method+" "+chi.RouteContext(r.Context()).RoutePattern()]
		if !declared {
			c.fail(w, r, fault.New(fault.Forbidden, "no rule lets this route be used"))
			return
		}
		c.Require(rule)(next).ServeHTTP(w, r)
	})
}

// Require returns a middleware that refuses requests that a rule does not accept.
func (c *Control) Require(rule auth.Rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A page of another site, or of a sandbox, must not sign a browser in as
			// another user. Programs send no origin and pass.
			if err := new(http.CrossOriginProtection).Check(r); rule.IsPublic() && !isCallback(r) && err != nil {
				c.fail(w, r, fault.Wrap(fault.Forbidden, err, "a page of another origin may not do this"))
				return
			}
			principal, err := c.Authenticator.Authorize(r.Context(), rule, c.Credentials(r))
			audit.SetPrincipal(r.Context(), principal)
			if err != nil {
				c.fail(w, r, err)
				return
			}
			if principal.TeamID != uuid.Nil {
				requestlog.SetTeam(r.Context(), principal.TeamID.String())
			}
			next.ServeHTTP(w, r.WithContext(auth.WithPrincipal(r.Context(), principal)))
		})
	}
}

// Credentials reads the credentials of a request.
func (c *Control) Credentials(r *http.Request) auth.Credentials {
	given := auth.Credentials{
		APIKey: r.Header.Get(auth.APIKeyHeader), AdminToken: r.Header.Get(auth.AdminTokenHeader),
		CSRF: r.Header.Get(auth.CSRFHeader), Unsafe: r.Method != http.MethodGet && r.Method != http.MethodHead,
		HeaderTeam: r.Header.Get(auth.TeamHeader), PathTeam: chi.URLParam(r, "teamID"),
		Address: c.Clients.Address(r),
	}
	if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		given.Bearer = token
	}
	if cookie, err := r.Cookie(c.CookieName(SessionCookie)); err == nil {
		given.Session = cookie.Value
	}
	return given
}
