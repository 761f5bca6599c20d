package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func (s *Server) routeExtensions(router respond.Router) {
	router.Get("/extensions", s.listExtensionPages)
	router.Get("/admin/extensions", s.listExtensions)
}

// mountExtensions adds the routes of extensions. Their rules are not in access.Rules:
// extension.Set checks them.
func (s *Server) mountExtensions(router chi.Router) {
	if s.Extensions == nil {
		return
	}
	router.Group(func(router chi.Router) {
		router.Use(s.Access.AuditRequests)
		for name, routes := range s.Extensions.Routes() {
			router.Mount(extension.Prefix+name, routes)
		}
	})
}

// beforeAuth adds the middlewares that extensions put before authorization.
func (s *Server) beforeAuth(next http.Handler) http.Handler {
	if s.Extensions == nil {
		return next
	}
	return s.shown(s.Extensions.BeforeAuth(), next)
}

// afterAuth adds the middlewares that extensions put after authorization.
func (s *Server) afterAuth(next http.Handler) http.Handler {
	if s.Extensions == nil {
		return next
	}
	return s.shown(s.Extensions.AfterAuth(), next)
}

// shown puts middlewares of extensions before a handler. Panics of the handler are
// recovered before they reach the middlewares, so that no extension is blamed for them.
// Requests for /health bypass the middlewares.
func (s *Server) shown(middlewares chi.Middlewares, next http.Handler) http.Handler {
	if len(middlewares) == 0 {
		return next
	}
	seen := middlewares.Handler(s.recoverPanics(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			next.ServeHTTP(w, r)
		} else {
			seen.ServeHTTP(w, r)
		}
	})
}

// Stopping returns a channel that is closed when the server refuses new requests.
func (s *Server) Stopping() <-chan struct{} { return s.gate.closing() }

func (s *Server) listExtensions(w http.ResponseWriter, _ *http.Request) error {
	statuses := []extension.Status{}
	if s.Extensions != nil {
		statuses = s.Extensions.Statuses()
	}
	respond.JSON(w, http.StatusOK, statuses)
	return nil
}

func (s *Server) listExtensionPages(w http.ResponseWriter, r *http.Request) error {
	pages := []extension.Page{}
	if s.Extensions != nil {
		pages = s.Extensions.Pages(auth.PrincipalOf(r.Context()).PlatformAdmin)
	}
	respond.JSON(w, http.StatusOK, pages)
	return nil
}
