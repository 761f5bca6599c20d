// Package api serves envd's HTTP API on one port: the RPC services, files, and the host's
// calls around a snapshot.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/envd/gen/filesystem/filesystemconnect"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/files"
	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/mmds"
	"git.omukk.dev/wrenn/sandbox/envd/internal/services/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/services/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// Machine changes the guest as a whole. Tests use one that only records the calls.
type Machine interface {
	SetClock(now time.Time) error
	Reseed(seed host.Seed, life string) error
	RenewIdentity(sandbox id.Sandbox) error
	InstallCertificates(bundle []byte) error
	SetHostService(address netip.Addr) error
	MountVolumes(ctx context.Context, volumes []host.Volume) error
	SyncVolumes(ctx context.Context) error
	FreezeFilesystem() error
	ThawFilesystem() error
	Collapse() (host.Collapsed, error)
}

// Groups freezes and thaws the processes of users.
type Groups interface {
	process.Groups
	Usable() bool
	Freeze(ctx context.Context, maxWait time.Duration) (cgroups.FreezeResult, error)
	Thaw() error
}

// Ports forwards to servers on loopback; it is stopped for snapshots.
type Ports interface {
	Restart()
	Stop()
}

// Connections are the clients' connections; http.Server implements it.
type Connections interface {
	// SetKeepAlivesEnabled(false) closes idle connections, and others after their
	// answer.
	SetKeepAlivesEnabled(enabled bool)
}

// Metadata reads the VMM's metadata service.
type Metadata interface {
	Read(ctx context.Context) (mmds.Metadata, error)
}

// Config are the parts of a Server.
type Config struct {
	Machine     Machine
	Groups      Groups
	Ports       Ports
	Connections Connections
	Metadata    Metadata // nil if the VMM has none
	Log         *slog.Logger
}

// Server is envd's HTTP handler. Make one with New.
type Server struct {
	settings    *settings.Settings
	machine     Machine
	groups      Groups
	ports       Ports
	connections Connections
	metadata    Metadata
	meter       host.Meter
	log         *slog.Logger
	init        initialiser
	held        atomic.Bool // the root file system is frozen, or a freeze failed half-way
	watches     watches
	router      http.Handler

	processes  *process.Service
	filesystem *filesystem.Service
}

// maxMessageBytes bounds one RPC message: a client's stdin chunk, a command
// line, an environment.
const maxMessageBytes = 16 << 20

// New makes a server with all services.
func New(config Config) *Server {
	s := &Server{
		settings: settings.New(), machine: config.Machine, groups: config.Groups, ports: config.Ports,
		connections: config.Connections, metadata: config.Metadata, log: config.Log, init: newInitialiser(),
	}
	s.processes = process.New(s.settings, s.groups, s.log)
	s.filesystem = filesystem.New(s.settings, s.log)
	transfers := files.New(s.settings, s.log)

	router := chi.NewRouter()
	router.Use(allowBrowsers, s.authenticate)
	router.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		utils.WriteError(w, http.StatusNotFound, "no such route")
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		utils.WriteError(w, http.StatusMethodNotAllowed, "the route does not take this method")
	})
	router.Get("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	router.Get("/metrics", s.metrics)
	router.Get("/envs", s.environment)
	router.Get("/files", transfers.Download)
	router.Post("/files", transfers.Upload)
	router.Post("/files/compose", transfers.Compose)
	s.routeHost(router)

	limit := connect.WithReadMaxBytes(maxMessageBytes)
	mount := func(path string, handler http.Handler) { router.Mount(path, handler) }
	mount(processconnect.NewProcessHandler(s.processes, limit))
	mount(s.watches.endable(filesystemconnect.NewFilesystemHandler(s.filesystem, limit)))
	s.router = router
	return s
}

// routeHost adds the routes for the host, which its proxy refuses to clients.
func (s *Server) routeHost(router chi.Router) {
	router.Post("/init", s.initialise)
	router.Post("/snapshot/prepare", s.prepareSnapshot)
	router.Post("/freeze", s.freeze)
	router.Post("/unfreeze", s.unfreeze)
	router.Post("/collapse", s.collapse)
	router.Post("/fsfreeze", s.freezeFilesystem)
	router.Post("/fsthaw", s.thawFilesystem)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// Close ends background work.
func (s *Server) Close() {
	s.ports.Stop()
	s.processes.Close()
	s.filesystem.Close()
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	measured, err := s.meter.Measure()
	if err != nil {
		s.log.ErrorContext(r.Context(), "measure the machine", "error", err)
		utils.WriteError(w, http.StatusInternalServerError, "the machine could not be measured")
		return
	}
	utils.WriteJSON(w, measured)
}

func (s *Server) environment(w http.ResponseWriter, r *http.Request) {
	environment, err := s.settings.Env(r.Context())
	if err != nil {
		return // the client left
	}
	utils.WriteJSON(w, environment)
}
