package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
)

// Failure is the JSON body of an answer that the proxy gives in a sandbox's
// stead. Clients take status 502 to mean that the sandbox is gone or paused.
type Failure struct {
	SandboxID string `json:"sandboxId"`
	Message   string `json:"message"`
	Port      int    `json:"port,omitempty"`
	Code      int    `json:"code"`
}

// Write answers a request with the failure.
func (f Failure) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Code)
	_ = json.NewEncoder(w).Encode(f)
}

// NotRunning is the failure of a request to a sandbox that does not run.
func NotRunning(sandboxID string) Failure {
	return Failure{SandboxID: sandboxID, Message: "The sandbox was not found or is not running", Code: http.StatusBadGateway}
}

// failures turns what went wrong between the proxy and a target into an answer.
type failures struct{ log *slog.Logger }

func (f failures) handle(w http.ResponseWriter, r *http.Request, err error) {
	target := targetOf(r.Context())
	log := f.log.With("sandbox", target.SandboxID, "port", target.Port, "error", err)
	if r.Context().Err() != nil || errors.Is(err, context.Canceled) {
		log.Debug("client left before the sandbox answered")
		panic(http.ErrAbortHandler)
	}
	failure := failureOf(target, err)
	log.Debug("request did not reach the sandbox", "status", failure.Code)
	failure.Write(w)
}

func failureOf(target Target, err error) Failure {
	failure := Failure{SandboxID: target.SandboxID, Port: target.Port, Code: http.StatusBadGateway}
	var dial *dialError
	switch {
	case errors.Is(err, ErrNotRunning):
		return NotRunning(target.SandboxID)
	case errors.Is(err, ErrUnreachable):
		failure.Message, failure.Code = "The host of the sandbox cannot be reached at the moment", http.StatusServiceUnavailable
	case errors.As(err, &dial):
		failure.Message = "The sandbox is running but nothing listens on this port"
	default:
		failure.Message = "The sandbox closed the connection before it answered"
	}
	return failure
}
