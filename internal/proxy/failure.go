package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
)

// Failure is the JSON body of an answer that the proxy gives in a sandbox's
// stead. Clients take status 502 to mean that the sandbox is gone or paused.
type Failure struct {
	SandboxID string `json:"sandboxId"`
	Message   string `json:"message"`
	Port      uint16 `json:"port,omitempty"`
	Code      int    `json:"code"`
}

// Write answers a request with the failure.
func (f Failure) Write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Code)
	_ = json.NewEncoder(w).Encode(f)
}

// WriteError answers a request with a Failure. A port of zero is left out.
func WriteError(w http.ResponseWriter, status int, sandboxID string, port uint16, message string) {
	Failure{SandboxID: sandboxID, Port: port, Message: message, Code: status}.Write(w)
}

// failures turns what went wrong between the proxy and a target into an answer.
type failures struct{ log *slog.Logger }

func (f failures) handle(w http.ResponseWriter, r *http.Request, err error) {
	target := targetOf(r.Context())
	log := f.log.With("sandbox", target.SandboxID, "port", target.Port, "error", err)
	httpserver.Abandon(r.Context())
	if httpserver.TooSlow(r.Context()) {
		WriteError(w, http.StatusRequestTimeout, target.SandboxID, target.Port, "The body of the request came too slowly")
		return
	}
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
	case !errors.As(err, &dial):
		failure.Message = "The sandbox closed the connection before it answered"
	case target.Dial != nil || target.Network == "unix":
		failure.Message = "The host of the sandbox cannot be reached at the moment"
		failure.Code = http.StatusServiceUnavailable
	case errors.Is(err, syscall.ECONNREFUSED):
		failure.Message = "The sandbox is running but nothing listens on this port"
	default:
		failure.Message = "The sandbox does not answer"
	}
	return failure
}
