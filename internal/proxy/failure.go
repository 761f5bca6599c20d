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
	// advice says what a person can do; only pages show it.
	advice string
}

// Failures that several places report, with advice of their own.
var (
	notFound = Failure{
		Code: http.StatusBadGateway, Message: "The sandbox was not found",
		advice: "It has ended, or its ID in the address is wrong. Check the address, or create a new sandbox.",
	}
	paused = Failure{
		Code: http.StatusBadGateway, Message: "The sandbox is paused",
		advice: "Resume it, with Sandbox.connect of an SDK or with “wrenn sandbox resume”, and load this page again.",
	}
	hostAway = Failure{
		Code: http.StatusServiceUnavailable, Message: "The host of the sandbox cannot be reached at the moment",
		advice: "Try again in a moment.",
	}
	portClosed = Failure{
		Code: http.StatusBadGateway, Message: "The sandbox is running but nothing listens on this port",
		advice: "Start the server in the sandbox, have it listen on this port and on 0.0.0.0, and load this page again.",
	}
)

// advices are for failures that have none of their own.
var advices = map[int]string{
	http.StatusBadRequest:   "A sandbox's address is {port}-{sandboxID}.{domain}, with a port from 1 to 65535.",
	http.StatusUnauthorized: "Send the sandbox's access token, which the call that created the sandbox has answered.",
	http.StatusForbidden:    "The sandbox's ports are not public: send its traffic access token, which the call that created it has answered, or create it with allowPublicTraffic.",
	http.StatusBadGateway:   "See in the sandbox whether the server on this port runs and answers.",
}

const defaultAdvice = "Try again in a moment."

// at says which sandbox and port a failure is about. A port of zero is left out.
func (f Failure) at(sandboxID string, port uint16) Failure {
	f.SandboxID, f.Port = sandboxID, port
	return f
}

// Write answers a request with the failure: a page for browsers, JSON for others.
func (f Failure) Write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Accept")
	if r.Header.Get("Origin") != "" {
		// So that an SDK in a browser learns why.
		header.Set("Access-Control-Allow-Origin", "*")
	}
	if wantsPage(r) {
		f.writePage(w)
		return
	}
	header.Set("Content-Type", "application/json")
	w.WriteHeader(f.Code)
	_ = json.NewEncoder(w).Encode(f)
}

// WriteError answers a request with a Failure. A port of zero is left out.
func WriteError(w http.ResponseWriter, r *http.Request, status int, sandboxID string, port uint16, message string) {
	Failure{SandboxID: sandboxID, Port: port, Message: message, Code: status}.Write(w, r)
}

// failures turns what went wrong between the proxy and a target into an answer.
type failures struct{ log *slog.Logger }

func (f failures) handle(w http.ResponseWriter, r *http.Request, err error) {
	target := targetOf(r.Context())
	log := f.log.With("sandbox", target.SandboxID, "port", target.Port, "error", err)
	httpserver.Abandon(r.Context())
	if httpserver.TooSlow(r.Context()) {
		WriteError(w, r, http.StatusRequestTimeout, target.SandboxID, target.Port, "The body of the request came too slowly")
		return
	}
	if r.Context().Err() != nil || errors.Is(err, context.Canceled) {
		log.Debug("client left before the sandbox answered")
		panic(http.ErrAbortHandler)
	}
	failure := failureOf(target, err)
	log.Debug("request did not reach the sandbox", "status", failure.Code)
	failure.Write(w, r)
}

func failureOf(target Target, err error) Failure {
	var dial *dialError
	var failure Failure
	switch {
	case !errors.As(err, &dial):
		failure = Failure{Code: http.StatusBadGateway, Message: "The sandbox closed the connection before it answered"}
	case target.Dial != nil || target.Network == "unix":
		failure = hostAway
	case errors.Is(err, syscall.ECONNREFUSED):
		failure = portClosed
	default:
		failure = Failure{Code: http.StatusBadGateway, Message: "The sandbox does not answer"}
	}
	return failure.at(target.SandboxID, target.Port)
}
