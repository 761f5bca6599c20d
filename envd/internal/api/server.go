// Package api is envd's HTTP surface: the RPC services, files and what the
// host does around a snapshot, all on one port.
package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/envd/gen/filesystem/filesystemconnect"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/files"
	"git.omukk.dev/wrenn/sandbox/envd/internal/host"
	"git.omukk.dev/wrenn/sandbox/envd/internal/services/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/services/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
)

// Machine is what /init changes of the machine itself. Tests that run on a
// host they must not touch give one that only takes notes.
type Machine interface {
	SetClock(now time.Time) error
	Reseed() error
}

// Ports makes loopback servers reachable; it is stopped for snapshots.
type Ports interface {
	Restart()
	Stop()
}

// Server answers everything that reaches envd. Make one with New.
type Server struct {
	settings *settings.Settings
	machine  Machine
	ports    Ports
	meter    host.Meter
	log      *slog.Logger
	init     initialiser
	router   http.Handler

	filesystem *filesystem.Service
}

// maxMessageBytes bounds one RPC message: a client's stdin chunk, a command
// line, an environment.
const maxMessageBytes = 16 << 20

// New puts the services together.
func New(machine Machine, ports Ports, log *slog.Logger) *Server {
	s := &Server{settings: settings.New(), machine: machine, ports: ports, log: log}
	s.filesystem = filesystem.New(s.settings, log)
	transfers := files.New(s.settings, log)

	router := chi.NewRouter()
	router.Use(allowBrowsers, s.authenticate)
	router.NotFound(func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, "no such route") })
	router.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusMethodNotAllowed, "the route does not take this method")
	})
	router.Get("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	router.Get("/metrics", s.metrics)
	router.Get("/envs", s.environment)
	router.Get("/files", transfers.Download)
	router.Post("/files", transfers.Upload)
	router.Post("/files/compose", transfers.Compose)
	router.Post("/init", s.initialise)
	router.Post("/snapshot/prepare", s.prepareSnapshot)

	limit := connect.WithReadMaxBytes(maxMessageBytes)
	mount := func(path string, handler http.Handler) { router.Mount(path, handler) }
	mount(processconnect.NewProcessHandler(process.New(s.settings, log), limit))
	mount(filesystemconnect.NewFilesystemHandler(s.filesystem, limit))
	s.router = router
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// Close ends what runs in the background.
func (s *Server) Close() {
	s.ports.Stop()
	s.filesystem.Close()
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	measured, err := s.meter.Measure()
	if err != nil {
		s.log.Error("measure the machine", "error", err)
		writeError(w, http.StatusInternalServerError, "the machine could not be measured")
		return
	}
	writeJSON(w, measured)
}

func (s *Server) environment(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.settings.Env()) }

// authenticate lets pass who shows the access token, once there is one.
// Without it there are /health, files by signed URL, and /init, which looks
// at its body itself.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.authorise(r); err != nil {
			writeError(w, http.StatusUnauthorized, err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) authorise(r *http.Request) error {
	token := s.settings.Token()
	if token == "" || r.URL.Path == "/health" || r.Method == http.MethodOptions {
		return nil
	}
	if shown := r.Header.Get("X-Access-Token"); shown != "" {
		if s.settings.TokenIs(shown) {
			return nil
		}
		return errors.New("the access token is wrong")
	}
	switch {
	case r.URL.Path == "/init":
		return nil
	case r.URL.Path == "/files" && r.URL.Query().Has("signature"):
		operation := "read"
		if r.Method == http.MethodPost {
			operation = "write"
		}
		return files.VerifySignature(r, token, operation, time.Now())
	default:
		return errors.New("an access token is needed in header X-Access-Token")
	}
}

// allowBrowsers answers what a browser asks before it lets a page's script
// call us. The token is the protection; where a page comes from is not.
func allowBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Access-Control-Expose-Headers", "*")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			allowed := r.Header.Get("Access-Control-Request-Headers")
			if allowed == "" {
				allowed = "*"
			}
			header.Set("Access-Control-Allow-Headers", allowed)
			header.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"message": message, "code": status})
}
