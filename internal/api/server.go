// Package api is the control API: it decodes and checks requests, asks the
// services, and encodes what they answer. It knows no SQL and no host.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// Authenticator finds the principal behind a credential, and refuses one that a
// route's rule does not let in.
type Authenticator interface {
	Authorize(ctx context.Context, rule auth.Rule, given auth.Credentials) (auth.Principal, error)
}

// Sandboxes is the service behind the routes of sandboxes.
type Sandboxes interface {
	Create(ctx context.Context, teamID uuid.UUID, wanted sandboxes.NewSandbox) (rows.Sandbox, error)
	Get(ctx context.Context, teamID uuid.UUID, sandboxID string) (rows.Sandbox, error)
	List(ctx context.Context, teamID uuid.UUID, filter sandboxes.Filter) (sandboxes.Page, error)
	Kill(ctx context.Context, teamID uuid.UUID, sandboxID string) error
	Pause(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandboxes.PauseRequest) error
	Resume(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandboxes.ResumeRequest) (rows.Sandbox, error)
	Connect(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandboxes.ResumeRequest) (rows.Sandbox, bool, error)
	SetTimeout(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error
	Refresh(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error
	UpdateNetwork(ctx context.Context, teamID uuid.UUID, sandboxID string, update sandboxes.NetworkUpdate) error
	Fork(ctx context.Context, teamID uuid.UUID, sandboxID string, count, timeoutSeconds int32) ([]sandboxes.ForkResult, error)
	Snapshot(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted templates.NewSnapshot) (templates.Snapshot, error)
	RotateTokens(ctx context.Context, teamID uuid.UUID, sandboxID string) (rows.Sandbox, error)
	KillTeam(ctx context.Context, teamID uuid.UUID) (killed, failed int, err error)
	RunningCounts(ctx context.Context) (map[uuid.UUID]int64, error)
	Metrics(ctx context.Context, teamID uuid.UUID, sandboxID string, span usage.Span) ([]rows.ListSamplesRow, error)
	LatestMetrics(ctx context.Context, teamID uuid.UUID, sandboxIDs []string) ([]rows.SandboxSample, error)
	Logs(ctx context.Context, teamID uuid.UUID, sandboxID string, filter sandboxes.LogFilter) ([]rows.SandboxLog, error)
	Credentials(ctx context.Context, sandbox rows.Sandbox) (sandboxes.Credentials, error)
}

// Server answers the control API.
type Server struct {
	Authenticator Authenticator
	Sandboxes     Sandboxes
	Templates     Templates
	TeamMetrics   TeamMetrics
	Hosts         Hosts
	Usage         Usage
	Volumes       Volumes
	Keys          SecretKeys
	TeamDeletion  TeamDeletion
	// TokenIssuer is nil for a server whose hosts sign nothing.
	TokenIssuer TokenIssuer
	Identity    *identity.Service
	// FirstTeam is the slug of the team that the first admin owns.
	FirstTeam string
	// Healthy answers nil when requests can be served.
	Healthy func(ctx context.Context) error
	// Domain is what the host names of sandboxes end in.
	Domain string
	// PublicURL is where browsers reach this server.
	PublicURL string
	// BodyTime is how long a client may take for a request's body; zero is half a
	// minute.
	BodyTime time.Duration
	// Clients knows where requests come from.
	Clients Clients
	Log     *slog.Logger
	// Events is what has happened and what happens.
	Events   *Events
	Channels Channels
	Secrets  Secrets
	// Audit is where requests are written down; nil for a server that does not.
	Audit AuditLog
	// Extensions are what others have added; nil where there are none.
	Extensions *extension.Set

	gate           gate
	keyUses        uses
	loggedClients  loggedClients
	publicLimits   publicLimits
	anonymousCalls anonymousCalls
}

// healthTimeout bounds the question whether all is well.
const healthTimeout = 2 * time.Second

// Handler returns the routes.
func (s *Server) Handler() http.Handler {
	router := chi.NewRouter()
	router.Use(guardAnswers, identifyRequests, readSandboxIDs, s.acrossOrigins(router), s.gate.middleware(s.fail), s.logRequests, s.recoverPanics, s.limitBody, s.refuseUnstorable, s.beforeAuth)
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, fault.New(fault.NotFound, "there is no such route"))
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusMethodNotAllowed, r.Method+" is not possible here", "", 0)
	})
	router.Group(func(router chi.Router) {
		router.Use(tellLimits, s.auditRequests, s.chargePublic, s.authorize, s.afterAuth, s.tolerateUnknownFields)
		router.Get("/health", s.handle(s.health))
		s.routeDocumentation(router)
		s.routeWellKnown(router)
		s.routeAuth(router)
		s.routeMe(router)
		s.routeTeams(router)
		s.routeKeys(router)
		s.routeUsers(router)
		s.routeSandboxes(router)
		s.routeHosts(router)
		s.routeUsage(router)
		s.routeEvents(router)
		s.routeAudit(router)
		s.routeChannels(router)
		s.routeSecrets(router)
		s.routeVolumes(router)
		s.routeExtensions(router)
		s.routeTemplates(router)
		s.routeAdmin(router)
	})
	s.mountExtensions(router)
	return router
}

// Drain refuses new requests and waits for those under way.
func (s *Server) Drain(ctx context.Context) error { return s.gate.close(ctx) }

func (s *Server) routeSandboxes(router chi.Router) {
	router.Post("/sandboxes", s.handle(s.createSandboxV1))
	router.Post("/v2/sandboxes", s.handle(s.createSandboxV2))
	router.Get("/sandboxes", s.handle(s.listRunning))
	router.Get("/v2/sandboxes", s.handle(s.listSandboxes))
	router.Get("/sandboxes/{sandboxID}", s.handle(s.getSandbox))
	router.Delete("/sandboxes/{sandboxID}", s.handle(s.killSandbox))
	router.Post("/sandboxes/{sandboxID}/pause", s.handle(s.pauseSandbox))
	router.Post("/sandboxes/{sandboxID}/resume", s.handle(s.resumeSandbox))
	router.Post("/sandboxes/{sandboxID}/connect", s.handle(s.connectSandboxV1))
	router.Post("/v2/sandboxes/{sandboxID}/connect", s.handle(s.connectSandboxV2))
	router.Post("/sandboxes/{sandboxID}/tokens/rotate", s.handle(s.rotateSandboxTokens))
	router.Post("/sandboxes/{sandboxID}/timeout", s.handle(s.setTimeout))
	router.Post("/sandboxes/{sandboxID}/refreshes", s.handle(s.refreshSandbox))
	router.Put("/sandboxes/{sandboxID}/network", s.handle(s.updateNetwork))
	router.Post("/sandboxes/{sandboxID}/fork", s.handle(s.forkSandbox))
	router.Post("/sandboxes/{sandboxID}/snapshots", s.handle(s.takeSnapshot))
	router.Get("/snapshots", s.handle(s.listSnapshots))
	router.Get("/sandboxes/metrics", s.handle(s.listLatestMetrics))
	router.Get("/sandboxes/{sandboxID}/metrics", s.handle(s.listSandboxMetrics))
	router.Get("/teams/{teamID}/metrics", s.handle(s.listTeamMetrics))
	router.Get("/teams/{teamID}/metrics/max", s.handle(s.maxTeamMetric))
	router.Get("/sandboxes/{sandboxID}/logs", s.handle(s.listLogsV1))
	router.Get("/v2/sandboxes/{sandboxID}/logs", s.handle(s.listLogsV2))
}

// handle turns a handler that may fail into one that answers its failures.
func (s *Server) handle(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handler(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
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

func teamOf(r *http.Request) uuid.UUID { return auth.PrincipalOf(r.Context()).TeamID }
