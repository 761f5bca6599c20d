package cpextension

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Router is an extension with routes. They are below /extensions/{name}, so that they
// cannot replace a route of the control plane.
type Router interface {
	// Routes adds the routes, as in
	//
	//	routes.Team(auth.UsageRead).Get("/balance", e.showBalance)
	Routes(routes Routes)
}

// Routes has a router for each kind of caller. All add to the same routes. Requests of
// other callers are refused before the handler is called. Requests other than GET get an
// audit entry.
type Routes interface {
	// Public accepts all requests, except those of pages of other origins that are not
	// GET.
	Public() chi.Router
	// User accepts signed-in users, by session or access token.
	User() chi.Router
	// Team accepts API keys and users with a permission in the request's team, and
	// platform admins who name the team. auth.PrincipalOf returns the principal and the
	// team, which is that of {teamID} if the path has it.
	Team(permission auth.Permission) chi.Router
	// Admin accepts platform admins.
	Admin() chi.Router
}

// BeforeAuth is an extension with a middleware for all requests of the control API, before
// authorization. Traffic to sandboxes and /health bypass it.
type BeforeAuth interface {
	// BeforeAuth wraps a handler. If it panics during a request, the request is answered
	// with 500 and does not reach next.
	BeforeAuth(next http.Handler) http.Handler
}

// AfterAuth is an extension with a middleware for authorized requests of the control API.
// It can use their principal (auth.PrincipalOf, zero for public routes) and, in chi's
// context, their route.
type AfterAuth interface {
	// AfterAuth wraps a handler. It is called for each route.
	AfterAuth(next http.Handler) http.Handler
}

// Pager is an extension with pages of the dashboard.
type Pager interface {
	Pages() []Page
}

// Page is a page of the dashboard, for users who have signed in.
type Page struct {
	// Title is the entry in the dashboard's menu.
	Title string
	// Path is the path below /extensions/{name}, such as "/overview".
	Path string
	// Handler serves the page and all paths below it; the page itself has the path "/". A
	// request other than GET needs the session's CSRF token in the header X-CSRF-Token.
	Handler http.Handler
	// AdminOnly shows the page to platform admins only.
	AdminOnly bool
}
