// Package api is the control API: the router, and what applies to all requests. The
// packages below it have the handlers of each group of resources. They decode requests,
// call the services and encode the results; they do not use the database or the hosts.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/account"
	"git.omukk.dev/wrenn/sandbox/internal/api/activity"
	"git.omukk.dev/wrenn/sandbox/internal/api/hosts"
	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/resources"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/api/sandboxes"
	"git.omukk.dev/wrenn/sandbox/internal/api/templates"
	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

// Server serves the control API.
type Server struct {
	// Access says who may call what.
	Access       access.Control
	Sandboxes    sandboxes.Service
	Templates    templates.Service
	Builds       templates.Builds
	Snapshots    sandboxes.Snapshots
	TeamMetrics  sandboxes.TeamMetrics
	Hosts        hosts.Service
	Keys         hosts.SecretKeys
	Usage        resources.Usage
	Volumes      resources.Volumes
	Secrets      resources.Secrets
	Identity     *identity.Service
	APIKeys      *keys.Service
	TeamDeletion account.TeamDeletion
	TeamSettings account.TeamSettings
	Events       *activity.Events
	Channels     activity.Channels
	Audit        activity.AuditLog
	// TokenIssuer is nil for a server that issues no identity tokens.
	TokenIssuer TokenIssuer
	// FirstTeam is the slug of the team that the first admin owns.
	FirstTeam string
	// Healthy returns an error while requests cannot be served.
	Healthy func(ctx context.Context) error
	// Domain is the suffix of the host names of sandboxes.
	Domain string
	// BodyTime bounds the time in which a request's body must arrive; zero is 30 seconds.
	BodyTime time.Duration
	Log      *slog.Logger
	// Extensions is nil for a server without extensions.
	Extensions *extension.Set

	gate gate

	documented      sync.Once
	document        documentation
	documentFailure error
}

// healthTimeout bounds a call of Healthy.
const healthTimeout = 2 * time.Second

// Handler returns the routes.
func (s *Server) Handler() http.Handler {
	router := chi.NewRouter()
	router.Use(
		access.GuardAnswers, request.Identify, request.ReadSandboxIDs, s.Access.AcrossOrigins(router), s.gate.middleware(s.Fail),
		s.logRequests, s.recoverPanics, request.LimitBody(s.BodyTime), request.RefuseUnstorable(s.Fail), s.beforeAuth,
	)
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		s.Fail(w, r, fault.New(fault.NotFound, "there is no such route"))
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		respond.Refuse(w, http.StatusMethodNotAllowed, r.Method+" is not possible here", "", 0)
	})
	router.Group(func(router chi.Router) {
		router.Use(
			noteSandbox, respond.TellLimits, s.Access.AuditRequests, s.Access.ChargePublic, s.Access.Authorize, s.afterAuth,
			(&request.Tolerance{Log: s.Log}).Middleware,
		)
		s.route(respond.Router{Mux: router, Fail: s.Fail})
	})
	s.mountExtensions(router)
	return router
}

// Drain refuses new requests and waits for those in progress.
func (s *Server) Drain(ctx context.Context) error { return s.gate.close(ctx) }

// route registers the routes of all groups of resources.
func (s *Server) route(router respond.Router) {
	router.Get("/health", s.health)
	s.routeDocumentation(router)
	s.routeWellKnown(router)
	s.routeExtensions(router)
	(&account.Handlers{
		Identity: s.Identity, Keys: s.APIKeys, TeamDeletion: s.TeamDeletion, TeamSettings: s.TeamSettings, Access: &s.Access, FirstTeam: s.FirstTeam,
	}).Route(router)
	(&sandboxes.Handlers{Sandboxes: s.Sandboxes, Snapshots: s.Snapshots, TeamMetrics: s.TeamMetrics, Domain: s.Domain}).Route(router)
	(&templates.Handlers{
		Templates: s.Templates, Builds: s.Builds, PublicURL: s.Access.PublicURL, BehindProxy: s.Access.Clients.BehindProxy,
	}).Route(router)
	(&hosts.Handlers{Hosts: s.Hosts, Keys: s.Keys}).Route(router)
	(&resources.Handlers{Secrets: s.Secrets, Volumes: s.Volumes, Usage: s.Usage, Domain: s.Domain}).Route(router)
	(&activity.Handlers{
		Events: s.Events, Channels: s.Channels, Audit: s.Audit, Authorize: s.Access.Principal, Stopping: s.Stopping(), Log: s.Log,
	}).Route(router)
}

// Require returns a middleware that refuses requests that a rule does not accept.
func (s *Server) Require(rule auth.Rule) func(http.Handler) http.Handler {
	return s.Access.Require(rule)
}

// Fail answers an error.
func (s *Server) Fail(w http.ResponseWriter, r *http.Request, err error) {
	respond.Failures{Log: s.Log}.Answer(w, r, err)
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	if err := s.Healthy(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the database cannot be reached at the moment")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
