package sandboxes

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

const (
	defaultRefresh = 15
	maxRefresh     = 3600
)

// sandboxOf returns the sandbox ID in the path.
func sandboxOf(r *http.Request) string { return chi.URLParam(r, "sandboxID") }

func (h *Handlers) killSandbox(w http.ResponseWriter, r *http.Request) error {
	return respond.NoContent(w, h.Sandboxes.Kill(r.Context(), request.Team(r), sandboxOf(r)))
}

func (h *Handlers) pauseSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Memory              *bool `json:"memory"`
		RequireHealthyGuest bool  `json:"requireHealthyGuest"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	wanted := sandbox.Pause{WithoutMemory: !request.OrDefault(body.Memory, true), RequireHealthyGuest: body.RequireHealthyGuest}
	return respond.NoContent(w, h.Sandboxes.Pause(r.Context(), request.Team(r), sandboxOf(r), wanted))
}

func (h *Handlers) resumeSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Timeout   *int32 `json:"timeout"`
		AutoPause *bool  `json:"autoPause"`
		Memory    *bool  `json:"memory"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	resumed, err := h.Sandboxes.Resume(r.Context(), request.Team(r), sandboxOf(r), sandboxes.ResumeRequest{
		TimeoutSeconds: request.OrDefault(body.Timeout, defaultTimeoutV1), AutoPause: body.AutoPause,
		WithoutMemory: !request.OrDefault(body.Memory, true),
	})
	if err != nil {
		return err
	}
	return h.answerSandbox(w, r, http.StatusCreated, resumed)
}

func (h *Handlers) connectSandboxV1(w http.ResponseWriter, r *http.Request) error {
	return h.connectSandbox(w, r, true)
}

func (h *Handlers) connectSandboxV2(w http.ResponseWriter, r *http.Request) error {
	return h.connectSandbox(w, r, false)
}

func (h *Handlers) connectSandbox(w http.ResponseWriter, r *http.Request, needsTimeout bool) error {
	var body struct {
		Timeout *int32 `json:"timeout"`
		Memory  *bool  `json:"memory"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if body.Timeout == nil && needsTimeout {
		return fault.New(fault.Invalid, "timeout is missing")
	}
	running, resumed, err := h.Sandboxes.Connect(r.Context(), request.Team(r), sandboxOf(r), sandboxes.ResumeRequest{
		TimeoutSeconds: request.OrDefault(body.Timeout, defaultTimeoutV2), WithoutMemory: !request.OrDefault(body.Memory, true),
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if resumed {
		status = http.StatusCreated
	}
	return h.answerSandbox(w, r, status, running)
}

func (h *Handlers) setTimeout(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Timeout *int32 `json:"timeout"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if body.Timeout == nil {
		return fault.New(fault.Invalid, "timeout is missing")
	}
	return respond.NoContent(w, h.Sandboxes.SetTimeout(r.Context(), request.Team(r), sandboxOf(r), *body.Timeout))
}

func (h *Handlers) refreshSandbox(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Duration *int32 `json:"duration"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	duration := request.OrDefault(body.Duration, defaultRefresh)
	if duration > maxRefresh {
		return fault.New(fault.Invalid, "duration must be at most %d seconds", maxRefresh)
	}
	return respond.NoContent(w, h.Sandboxes.Refresh(r.Context(), request.Team(r), sandboxOf(r), duration))
}
