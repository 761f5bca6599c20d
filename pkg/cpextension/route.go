package cpextension

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Router is an extension with routes. They are below /extensions/{name}, where
// they can hide no route of the control plane's.
type Router interface {
	// Routes adds the routes, as in
	//
	//	routes.Team(auth.UsageRead).Get("/balance", e.showBalance)
	Routes(routes Routes)
}

// Routes has a router for each kind of caller. All add to the same routes, and
// whoever must not pass is refused before the handler is called. What a handler
// does for others than GET is written to the audit log.
type Routes interface {
	// Public lets everybody in, except pages of other origins that want to change
	// something.
	Public() chi.Router
	// User lets every signed-in user in, by session or access token.
	User() chi.Router
	// Team lets in whoever has a permission in the team that is worked on: API
	// keys, users, and platform admins who name the team. auth.PrincipalOf says who
	// it is and which team, which is the one of {teamID} where the path has it.
	Team(permission auth.Permission) chi.Router
	// Admin lets platform admins in.
	Admin() chi.Router
}

// BeforeAuth is an extension that sees every request of the control API before
// anybody knows who makes it. Traffic to sandboxes and /health it does not see.
type BeforeAuth interface {
	// BeforeAuth makes a middleware. A panic in it answers the request with 500:
	// what was there to protect stays protected.
	BeforeAuth(next http.Handler) http.Handler
}

// AfterAuth is an extension that sees every request of the control API that was
// let in, with its principal (see auth.PrincipalOf; the zero one for public routes)
// and, in chi's context, its route.
type AfterAuth interface {
	// AfterAuth makes a middleware, as often as there are routes.
	AfterAuth(next http.Handler) http.Handler
}

// Pager is an extension with pages of the dashboard.
type Pager interface {
	Pages() []Page
}

// Page is a page of the dashboard, for users who have signed in.
type Page struct {
	// Title is what the dashboard's menu says.
	Title string
	// Path is where below /extensions/{name} the page is, such as "/overview".
	Path string
	// Handler serves the page and everything below it, and sees the page's own
	// address as "/". A request that changes something needs the session's CSRF
	// token in the header X-CSRF-Token, as everywhere.
	Handler http.Handler
	// AdminOnly shows the page to platform admins only.
	AdminOnly bool
}
