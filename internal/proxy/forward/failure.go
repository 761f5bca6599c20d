package forward

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
)

// Failure is the JSON body of an answer that Wrenn gives because the sandbox did
// not. SDKs read status 502 as "the sandbox is gone or paused".
type Failure struct {
	SandboxID string `json:"sandboxId"`
	Message   string `json:"message"`
	Port      uint16 `json:"port,omitempty"`
	Code      int    `json:"code"`
	// Advice tells a person what to do. Only the HTML page shows it.
	Advice string `json:"-"`
}

// HostAway is the failure of a sandbox whose host cannot be reached.
var HostAway = Failure{
	Code: http.StatusServiceUnavailable, Message: "The host of the sandbox cannot be reached at the moment",
	Advice: DefaultAdvice,
}

// portClosed is the failure of a port on which no server of the sandbox listens.
var portClosed = Failure{
	Code: http.StatusBadGateway, Message: "The sandbox is running but nothing listens on this port",
	Advice: "Start the server in the sandbox, have it listen on this port and on 0.0.0.0, and load this page again.",
}

// DefaultAdvice is shown for a failure that may pass by itself.
const DefaultAdvice = "Try again in a moment."

// advices are shown, by status code, for failures without advice of their own.
var advices = map[int]string{
	http.StatusBadRequest:   "A sandbox's address is {port}-{sandboxID}.{domain}, with a port from 1 to 65535.",
	http.StatusUnauthorized: "Send the sandbox's access token, which the call that created the sandbox has answered.",
	http.StatusForbidden:    "The sandbox's ports are not public: send its traffic access token, which the call that created it has answered, or create it with allowPublicTraffic.",
	http.StatusBadGateway:   "See in the sandbox whether the server on this port runs and answers.",
}

// At returns the failure with its sandbox and port. The JSON body omits port zero.
func (f Failure) At(sandboxID string, port uint16) Failure {
	f.SandboxID, f.Port = sandboxID, port
	return f
}

// Write answers a request with the failure: an HTML page for browsers, JSON for
// other clients.
func (f Failure) Write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Accept")
	if r.Header.Get("Origin") != "" {
		// Lets an SDK in a browser read the failure.
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

// WriteError answers a request with a Failure. The JSON body omits port zero.
func WriteError(w http.ResponseWriter, r *http.Request, status int, sandboxID string, port uint16, message string) {
	Failure{SandboxID: sandboxID, Port: port, Message: message, Code: status}.Write(w, r)
}

// failures answers requests that could not be sent to their target.
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
		log.DebugContext(r.Context(), "client disconnected before the sandbox answered")
		panic(http.ErrAbortHandler)
	}
	failure := failureOf(target, err)
	log.DebugContext(r.Context(), "request did not reach the sandbox", "status", failure.Code)
	failure.Write(w, r)
}

func failureOf(target Target, err error) Failure {
	var dial *dialError
	var failure Failure
	switch {
	case !errors.As(err, &dial):
		failure = Failure{Code: http.StatusBadGateway, Message: "The sandbox closed the connection before it answered"}
	case target.Dial != nil || target.Network == "unix":
		failure = HostAway
	case errors.Is(err, syscall.ECONNREFUSED):
		failure = portClosed
	default:
		failure = Failure{Code: http.StatusBadGateway, Message: "The sandbox does not answer"}
	}
	return failure.At(target.SandboxID, target.Port)
}
