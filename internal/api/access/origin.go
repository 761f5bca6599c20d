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

// exposedHeaders are the headers of answers that pages of other origins may read.
var exposedHeaders = strings.Join([]string{
	"X-Next-Token", "X-Total-Running", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After",
	"Should-Retry", "Wrenn-Ignored-Fields", requestlog.Header,
}, ", ")

// preflightAge is how many seconds a browser may cache the answer to a preflight.
const preflightAge = "7200"

// headerNames matches the headers that a preflight may ask for.
var headerNames = regexp.MustCompile(`^[A-Za-z0-9_.,* -]{1,1000}$`)

// AcrossOrigins lets pages of any origin use the routes for programs, with the
// credentials of programs. It removes the cookies of such requests, so that they never
// use the browser's session.
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

// isOwnOrigin reports whether a request comes from a program, from a page of this
// server, or from a navigation, for which SameSite decides about cookies.
func (c *Control) isOwnOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		if strings.EqualFold(origin, c.PublicURL) {
			return true // r.Host may be the name by which a reverse proxy reaches this server
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

// callbackPath is the path to which identity providers send browsers back.
var callbackPath = regexp.MustCompile(`^/auth/oidc/[^/]+/callback$`)

// isCallback reports whether a request is the form with which an identity provider sends
// a browser back. It needs its cookie although it comes from another origin; the state
// in the form, which is compared with the one in the cookie, protects it.
func isCallback(r *http.Request) bool {
	return r.Method == http.MethodPost && callbackPath.MatchString(r.URL.Path)
}

// methodAsked returns the method of a request, or the one that a preflight asks for.
func methodAsked(r *http.Request) string {
	if httpserver.IsPreflight(r) {
		return r.Header.Get("Access-Control-Request-Method")
	}
	return r.Method
}

// isShared reports whether a route is for programs. Routes of signing in, and those that
// accept only a session, are for pages of this server.
func isShared(router *chi.Mux, method, path string) bool {
	pattern := router.Find(chi.NewRouteContext(), method, path)
	rule, declared := Rules[method+" "+pattern]
	return declared && rule != auth.BySignIn() && !strings.HasPrefix(pattern, "/auth/")
}

// ShareWithOrigin lets a page of any origin read the answer. It answers a preflight and
// returns true.
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

// GuardAnswers prevents answers from being cached, because most have secrets, and from
// being interpreted as another content type.
func GuardAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
