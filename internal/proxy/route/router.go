// Package route decides which sandbox a request is for and whether it may pass, and
// removes every credential from it before it is forwarded. Only the control plane
// routes; the host agent forwards what the control plane sends.
package route

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// Directory finds sandboxes. The router queries it for every request and caches
// nothing, so that a kill or a pause takes effect at once.
type Directory interface {
	// GetWithEpochs returns store.ErrNotFound where there is no such sandbox.
	GetWithEpochs(ctx context.Context, sandboxID string) (sandbox.Sandbox, auth.Epochs, error)
}

// Resumer resumes a paused sandbox that is to resume on traffic.
type Resumer interface {
	ResumeForTraffic(ctx context.Context, sandboxID string) (sandbox.Sandbox, error)
}

// Hosts returns the link to a host, or nil if there is none.
type Hosts interface {
	Link(hostID uuid.UUID) *host.Link
}

// Clients reports whether a request came through a trusted proxy.
type Clients interface {
	BehindProxy(r *http.Request) bool
}

// Router forwards the requests that name a sandbox to its host. Others are for the
// control API.
type Router struct {
	Domains   Domains
	Directory Directory
	Resumer   Resumer
	Tokens    Tokens
	Forwarder *forward.Forwarder
	Hosts     Hosts
	Clients   Clients
	// AdminToken is the control API's, which is removed from requests to guests; empty
	// for none.
	AdminToken string
	Log        *slog.Logger
}

// Before returns a handler that routes requests to sandboxes and passes those that
// name no sandbox to next.
func (t *Router) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, named, err := t.Domains.destinationOf(r)
		switch {
		case !named && isPreflightToSandbox(r):
			allowAsking(w, r)
		case !named:
			next.ServeHTTP(w, r)
		case errors.Is(err, errNoSuchID):
			notFound.Write(w, r)
		case err != nil:
			forward.WriteError(w, r, http.StatusBadRequest, "", 0, err.Error())
		default:
			t.route(w, withRequest(r, to.sandboxID), to)
		}
	})
}

// withRequest adds the request's ID and its sandbox to log lines. An ID that was made here
// is not sent to the guest's server.
func withRequest(r *http.Request, sandboxID string) *http.Request {
	id := r.Header.Get(requestlog.Header)
	if !requestlog.IsID(id) {
		id = requestlog.NewID()
	}
	ctx := requestlog.Begin(r.Context(), id)
	requestlog.SetSandbox(ctx, sandboxID)
	return r.WithContext(ctx)
}

func (t *Router) route(w http.ResponseWriter, r *http.Request, to destination) {
	target, epochs, err := t.Directory.GetWithEpochs(r.Context(), to.sandboxID)
	found := located{target, epochs}
	if err == nil {
		requestlog.SetTeam(r.Context(), found.TeamID.String())
	}
	switch {
	case to.port == agentPort && httpserver.IsPreflight(r) && (errors.Is(err, store.ErrNotFound) || err == nil && found.State != sandbox.Running):
		allowAsking(w, r)
		return
	case errors.Is(err, store.ErrNotFound):
		notFound.At(to.sandboxID, 0).Write(w, r)
		return
	case err != nil:
		if r.Context().Err() == nil {
			t.Log.ErrorContext(r.Context(), "look up a sandbox for traffic", "error", err)
		}
		forward.WriteError(w, r, http.StatusServiceUnavailable, to.sandboxID, 0, "The sandbox cannot be looked up at the moment")
		return
	case found.State != sandbox.Running && !mayResume(r, found, to, t.Tokens):
		notRunning(found.State).At(to.sandboxID, 0).Write(w, r)
		return
	}
	if why := refuse(r, found, to.port, t.Tokens); why != nil {
		forward.WriteError(w, r, why.status, to.sandboxID, to.port, why.message)
		return
	}
	if found.State != sandbox.Running && !t.resume(w, r, to) {
		return
	}
	link := t.Hosts.Link(found.HostID)
	if link == nil {
		forward.HostAway.At(to.sandboxID, 0).Write(w, r)
		return
	}
	if why := t.strip(r, to, found); why != nil {
		forward.WriteError(w, r, why.status, to.sandboxID, to.port, why.message)
		return
	}
	if isStream(r) {
		httpserver.LetBodyLast(r.Context())
	}
	asked := hostName(r.Host)
	t.Forwarder.Forward(w, r, forward.Target{
		SandboxID: to.sandboxID, Port: to.port, Address: link.Address, Dial: link.DialTraffic,
		Header: t.prepare(r, to, found.Network),
		Answer: func(answer http.Header) {
			cleanAnswer(answer, asked)
			if to.shared {
				confine(answer)
			}
		},
	})
}

// isStream reports whether a request's body is a stream of gRPC or Connect messages,
// between which any time may pass.
func isStream(r *http.Request) bool {
	kind := r.Header.Get("Content-Type")
	return strings.HasPrefix(kind, "application/grpc") || strings.HasPrefix(kind, "application/connect+")
}

// resume resumes a sandbox for a request. On failure it answers the request and
// returns false.
func (t *Router) resume(w http.ResponseWriter, r *http.Request, to destination) bool {
	_, err := t.Resumer.ResumeForTraffic(r.Context(), to.sandboxID)
	if err == nil {
		return true
	}
	if r.Context().Err() != nil {
		return false // the client disconnected
	}
	t.Log.WarnContext(r.Context(), "resume a sandbox for traffic", "error", err)
	switch fault.CodeOf(err) {
	case fault.NotFound:
		notFound.At(to.sandboxID, 0).Write(w, r)
	case fault.Conflict:
		paused.At(to.sandboxID, 0).Write(w, r)
	default:
		forward.WriteError(w, r, http.StatusServiceUnavailable, to.sandboxID, 0, "The sandbox cannot be resumed at the moment")
	}
	return false
}

// strip removes from a request what the guest must not see. It refuses a request
// whose path contains a credential, which cannot be removed, and one that names
// another file once the parameters are removed: the guest uses the first of several
// path parameters, which is the one that was signed.
func (t *Router) strip(r *http.Request, to destination, found located) *refusal {
	id, epochs := found.ID, found.epochs
	if auth.ContainsKey(r.URL.Path) || containsAny(r.URL.Path, []string{t.Tokens.EnvdAccess(id, epochs), t.Tokens.TrafficAccess(id, epochs)}) {
		return &refusal{http.StatusBadRequest, "The path holds a credential, which is not for the sandbox"}
	}
	before := fileOf(r)
	stripCredentials(r, to.port, found, t.Tokens)
	removeAPICredentials(r, t.AdminToken)
	if to.port == agentPort && fileOf(r) != before {
		return &refusal{http.StatusBadRequest, "path and username must hold nothing that is a credential, or that another part of the request shows as one"}
	}
	return nil
}

// prepare sets the headers that the guest's server sees: the client's address, and the
// Host if the sandbox's network masks it. It returns the headers for the host agent.
func (t *Router) prepare(r *http.Request, to destination, network sandbox.Network) http.Header {
	head := http.Header{}
	head.Set(forward.SandboxHeader, to.sandboxID)
	head.Set(forward.PortHeader, strconv.Itoa(int(to.port)))
	t.nameClient(r)
	if to.port == agentPort {
		// The guest agent has no route that upgrades a connection.
		r.Header.Del("Upgrade")
		return head
	}
	if network.SpeaksTLS(to.port) {
		head.Set(forward.TLSHeader, "true")
	}
	if network.MaskRequestHost != "" {
		r.Host = strings.ReplaceAll(network.MaskRequestHost, "${PORT}", strconv.Itoa(int(to.port)))
	}
	return head
}
