package access

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// exposedHeaders are what pages of other origins may read of an answer.
var exposedHeaders = strings.Join([]string{
	"X-Next-Token", "X-Total-Running", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After",
	"Should-Retry", "Wrenn-Ignored-Fields", requestlog.Header,
}, ", ")

// preflightAge is how many seconds a browser may remember what a preflight was told.
const preflightAge = "7200"

// headerNames is what a preflight may ask for.
var headerNames = regexp.MustCompile(`^[A-Za-z0-9_.,* -]{1,1000}$`)

// AcrossOrigins lets pages of any origin use the routes that programs use, with the
// credentials of programs. A request of another origin's page is never one of the
// browser's session: its cookies are not looked at.
func (c *Control) AcrossOrigins(router *chi.Mux) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.isOwnOrigin(r) || isCallback(r) {
				next.ServeHTTP(w, r)
				return
			}
			r.Header.Del("Cookie")
			if isShared(router, methodAsked(r), r.URL.EscapedPath()) && ShareWithOrigin(w, r) {
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// isOwnOrigin says whether a request comes from a program, from this server's own
// pages or from a browser that goes somewhere, which sends the cookies that it may.
func (c *Control) isOwnOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		if strings.EqualFold(origin, c.PublicURL) {
			return true // a proxy in front may ask by another name
		}
		address, err := url.Parse(origin)
		return err == nil && address.Host != "" && strings.EqualFold(address.Host, r.Host)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	default:
		return r.Header.Get("Sec-Fetch-Mode") == "navigate"
	}
}

// callbackPath is where identity providers send browsers back.
var callbackPath = regexp.MustCompile(`^/auth/oidc/[^/]+/callback$`)

// isCallback reports whether a request is the form that another site, an identity
// provider, sends a browser back with. The state in it, which is compared with that in
// a cookie, protects it.
func isCallback(r *http.Request) bool {
	return r.Method == http.MethodPost && callbackPath.MatchString(r.URL.Path)
}

// methodAsked is the method of a request, or of the one that a preflight is for.
func methodAsked(r *http.Request) string {
	if httpserver.IsPreflight(r) {
		return r.Header.Get("Access-Control-Request-Method")
	}
	return r.Method
}

// isShared says whether a route is for programs too: those of signing in, and those
// that only a session opens, are for this server's own pages.
func isShared(router *chi.Mux, method, path string) bool {
	pattern := router.Find(chi.NewRouteContext(), method, path)
	rule, declared := Rules[method+" "+pattern]
	return declared && rule != auth.BySignIn() && !strings.HasPrefix(pattern, "/auth/")
}

// ShareWithOrigin lets a page read the answer, whatever its origin, and answers a
// preflight itself. It says whether it did.
func ShareWithOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Access-Control-Allow-Origin", "*")
	if !httpserver.IsPreflight(r) {
		header.Set("Access-Control-Expose-Headers", exposedHeaders)
		return false
	}
	header.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	if names := r.Header.Get("Access-Control-Request-Headers"); headerNames.MatchString(names) {
		header.Set("Access-Control-Allow-Headers", names)
	}
	header.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}

// GuardAnswers keeps answers out of caches, most of which hold something secret,
// and from being taken for something else than what they say they are.
func GuardAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
