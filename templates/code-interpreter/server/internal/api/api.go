// Package api speaks E2B's protocol of code interpreters over HTTP.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/contexts"
)

// largestBody bounds a request: code and variables.
const largestBody = 32 << 20

// Server is the HTTP handler.
type Server struct {
	contexts *contexts.Contexts
	log      *slog.Logger
	ready    atomic.Bool
	router   *http.ServeMux
}

// New makes the handler. Until Ready, it refuses all work.
func New(of *contexts.Contexts, log *slog.Logger) *Server {
	s := &Server{contexts: of, log: log, router: http.NewServeMux()}
	s.router.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "OK") })
	s.router.HandleFunc("POST /execute", s.execute)
	s.router.HandleFunc("POST /contexts", s.createContext)
	s.router.HandleFunc("GET /contexts", s.listContexts)
	s.router.HandleFunc("POST /contexts/{id}/restart", s.restartContext)
	s.router.HandleFunc("DELETE /contexts/{id}", s.removeContext)
	return s
}

// Ready lets requests in.
func (s *Server) Ready() { s.ready.Store(true) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.ready.Load() {
		writeText(w, http.StatusServiceUnavailable, "The code interpreter is starting")
		return
	}
	s.router.ServeHTTP(w, r)
}

// fail writes an error in the form that the SDKs show: as text.
func (s *Server) fail(w http.ResponseWriter, err error) {
	var (
		bad     *contexts.BadRequestError
		busy    *contexts.BusyError
		missing *contexts.NotFoundError
	)
	switch {
	case errors.As(err, &bad):
		writeText(w, http.StatusBadRequest, err.Error())
	case errors.As(err, &busy):
		writeText(w, http.StatusTooManyRequests, err.Error())
	case errors.As(err, &missing):
		writeText(w, http.StatusNotFound, err.Error())
	case errors.Is(err, context.Canceled): // the client left
	default:
		s.log.Error("a request failed", "error", err)
		writeText(w, http.StatusInternalServerError, err.Error())
	}
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that left reads nothing
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// read reads a request's body.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody)).Decode(into)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &contexts.BadRequestError{Message: fmt.Sprintf("The request has more than %d MiB", largestBody>>20)}
	}
	if err != nil {
		return &contexts.BadRequestError{Message: "The request is not the JSON that it should be: " + err.Error()}
	}
	return nil
}
