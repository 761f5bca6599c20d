package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

const (
	defaultRefresh = 15
	maxRefresh     = 3600
)

// sandboxOf is the sandbox ID in a request's path, as the client wrote it.
func sandboxOf(r *http.Request) string { return chi.URLParam(r, "sandboxID") }

func (s *Server) killSandbox(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.Sandboxes.Kill(r.Context(), teamOf(r), sandboxOf(r)))
}

func (s *Server) pauseSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Memory              *bool `json:"memory"`
		RequireHealthyGuest bool  `json:"requireHealthyGuest"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	wanted := sandboxes.PauseRequest{WithoutMemory: !orDefault(body.Memory, true), RequireHealthyGuest: body.RequireHealthyGuest}
	return noContent(w, s.Sandboxes.Pause(r.Context(), teamOf(r), sandboxOf(r), wanted))
}

func (s *Server) resumeSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Timeout   *int32 `json:"timeout"`
		AutoPause *bool  `json:"autoPause"`
		Memory    *bool  `json:"memory"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	sandbox, err := s.Sandboxes.Resume(r.Context(), teamOf(r), sandboxOf(r), sandboxes.ResumeRequest{
		TimeoutSeconds: orDefault(body.Timeout, defaultTimeoutV1), AutoPause: body.AutoPause,
		WithoutMemory: !orDefault(body.Memory, true),
	})
	if err != nil {
		return err
	}
	return s.answerSandbox(w, r, http.StatusCreated, sandbox)
}

func (s *Server) connectSandboxV1(w http.ResponseWriter, r *http.Request) error {
	return s.connectSandbox(w, r, true)
}

func (s *Server) connectSandboxV2(w http.ResponseWriter, r *http.Request) error {
	return s.connectSandbox(w, r, false)
}

func (s *Server) connectSandbox(w http.ResponseWriter, r *http.Request, needsTimeout bool) error {
	var body struct {
		Timeout *int32 `json:"timeout"`
		Memory  *bool  `json:"memory"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	if body.Timeout == nil && needsTimeout {
		return fault.New(fault.Invalid, "timeout is missing")
	}
	sandbox, resumed, err := s.Sandboxes.Connect(r.Context(), teamOf(r), sandboxOf(r), sandboxes.ResumeRequest{
		TimeoutSeconds: orDefault(body.Timeout, defaultTimeoutV2), WithoutMemory: !orDefault(body.Memory, true),
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if resumed {
		status = http.StatusCreated
	}
	return s.answerSandbox(w, r, status, sandbox)
}

func (s *Server) setTimeout(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Timeout *int32 `json:"timeout"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	if body.Timeout == nil {
		return fault.New(fault.Invalid, "timeout is missing")
	}
	return noContent(w, s.Sandboxes.SetTimeout(r.Context(), teamOf(r), sandboxOf(r), *body.Timeout))
}

func (s *Server) refreshSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Duration *int32 `json:"duration"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	duration := orDefault(body.Duration, defaultRefresh)
	if duration > maxRefresh {
		return fault.New(fault.Invalid, "duration must be at most %d seconds", maxRefresh)
	}
	return noContent(w, s.Sandboxes.Refresh(r.Context(), teamOf(r), sandboxOf(r), duration))
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
