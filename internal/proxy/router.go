package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// Directory finds sandboxes. The router asks it for every request and remembers
// nothing, so that a kill or a pause takes effect at once.
type Directory interface {
	GetSandboxWithEpoch(ctx context.Context, sandboxID string) (rows.GetSandboxWithEpochRow, error)
}

// Resumer brings back a sandbox that traffic may resume.
type Resumer interface {
	ResumeForTraffic(ctx context.Context, sandboxID string) (rows.Sandbox, error)
}

// Hosts finds the way to a host; nil where it is not known.
type Hosts interface {
	Link(hostID uuid.UUID) *host.Link
}

// Clients knows which clients are proxies in front that are trusted.
type Clients interface {
	BehindProxy(r *http.Request) bool
}

// Router sends the requests that name a sandbox to its host, and leaves all
// others to the control API.
type Router struct {
	Domains   Domains
	Directory Directory
	Resumer   Resumer
	Tokens    Tokens
	Forwarder *Forwarder
	Hosts     Hosts
	Clients   Clients
	// AdminToken is the control API's, which no guest may see; empty where there is
	// none.
	AdminToken string
	Log        *slog.Logger
}

// Before returns a handler that routes requests to sandboxes and hands those that
// name none to next.
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
			WriteError(w, r, http.StatusBadRequest, "", 0, err.Error())
		default:
			t.route(w, r, to)
		}
	})
}

func (t *Router) route(w http.ResponseWriter, r *http.Request, to destination) {
	found, err := t.Directory.GetSandboxWithEpoch(r.Context(), to.sandboxID)
	sandbox := found.Sandbox
	switch {
	case to.port == AgentPort && httpserver.IsPreflight(r) && (errors.Is(err, pgx.ErrNoRows) || err == nil && sandbox.State != lifecycle.Running):
		allowAsking(w, r)
		return
	case errors.Is(err, pgx.ErrNoRows):
		notFound.at(to.sandboxID, 0).Write(w, r)
		return
	case err != nil:
		if r.Context().Err() == nil {
			t.Log.Error("look up a sandbox for traffic", "sandbox", to.sandboxID, "error", err)
		}
		WriteError(w, r, http.StatusServiceUnavailable, to.sandboxID, 0, "The sandbox cannot be looked up at the moment")
		return
	case sandbox.State != lifecycle.Running && !mayResume(r, found, to, t.Tokens):
		whyNotRunning(sandbox.State).at(to.sandboxID, 0).Write(w, r)
		return
	}
	if why := refuse(r, found, to.port, t.Tokens); why != nil {
		WriteError(w, r, why.status, to.sandboxID, to.port, why.message)
		return
	}
	if sandbox.State != lifecycle.Running && !t.resume(w, r, to) {
		return
	}
	link := t.Hosts.Link(sandbox.HostID)
	if link == nil {
		hostAway.at(to.sandboxID, 0).Write(w, r)
		return
	}
	if why := t.strip(r, to, found); why != nil {
		WriteError(w, r, why.status, to.sandboxID, to.port, why.message)
		return
	}
	if isStream(r) {
		httpserver.LetBodyLast(r.Context())
	}
	asked := hostName(r.Host)
	t.Forwarder.Forward(w, r, Target{
		SandboxID: to.sandboxID, Port: to.port, Address: link.Address, Dial: link.DialTraffic,
		Header: t.prepare(r, to, sandbox.Network),
		Answer: func(answer http.Header) {
			cleanAnswer(answer, asked)
			if to.shared {
				confine(answer)
			}
		},
	})
}

// isStream says whether a request's body is messages that may be far apart: of gRPC,
// and of Connect's streams.
func isStream(r *http.Request) bool {
	kind := r.Header.Get("Content-Type")
	return strings.HasPrefix(kind, "application/grpc") || strings.HasPrefix(kind, "application/connect+")
}

// resume brings a sandbox back for a request, or answers why it cannot.
func (t *Router) resume(w http.ResponseWriter, r *http.Request, to destination) bool {
	_, err := t.Resumer.ResumeForTraffic(r.Context(), to.sandboxID)
	if err == nil {
		return true
	}
	if r.Context().Err() != nil {
		return false // the client left; nobody reads an answer
	}
	t.Log.Warn("resume a sandbox for traffic", "sandbox", to.sandboxID, "error", err)
	switch fault.CodeOf(err) {
	case fault.NotFound:
		notFound.at(to.sandboxID, 0).Write(w, r)
	case fault.Conflict:
		paused.at(to.sandboxID, 0).Write(w, r)
	default:
		WriteError(w, r, http.StatusServiceUnavailable, to.sandboxID, 0, "The sandbox cannot be resumed at the moment")
	}
	return false
}

func whyNotRunning(state lifecycle.State) Failure {
	switch state {
	case lifecycle.Pausing, lifecycle.Paused, lifecycle.Resuming:
		return paused
	case lifecycle.Broken:
		return Failure{Code: http.StatusBadGateway, Message: "The sandbox has failed", advice: "Its details tell why. Create a new sandbox."}
	case lifecycle.Creating:
		return Failure{Code: http.StatusBadGateway, Message: "The sandbox is not running yet", advice: defaultAdvice}
	default:
		return notFound
	}
}

// strip takes out of a request what is not for the guest. It refuses one whose path
// has a credential in it, which cannot be taken out, and one that would
// then be about another file: the guest takes the first path of several, and a form
// brings its own, but the first was what was signed.
func (t *Router) strip(r *http.Request, to destination, found rows.GetSandboxWithEpochRow) *refusal {
	id, epochs := found.Sandbox.ID, epochsOf(found)
	if auth.ContainsKey(r.URL.Path) || containsAny(r.URL.Path, []string{t.Tokens.EnvdAccess(id, epochs), t.Tokens.TrafficAccess(id, epochs)}) {
		return &refusal{http.StatusBadRequest, "The path holds a credential, which is not for the sandbox"}
	}
	before := fileOf(r)
	stripCredentials(r, to.port, found, t.Tokens)
	removePrivate(r, t.AdminToken)
	if to.port == AgentPort && fileOf(r) != before {
		return &refusal{http.StatusBadRequest, "path and username must hold nothing that is a credential, or that another part of the request shows as one"}
	}
	return nil
}

// prepare gives a request the Host that the guest's servers see where the network
// says so. It answers the headers that name the guest to the host agent.
func (t *Router) prepare(r *http.Request, to destination, network rows.Network) http.Header {
	head := http.Header{}
	head.Set(SandboxHeader, to.sandboxID)
	head.Set(PortHeader, strconv.Itoa(int(to.port)))
	t.nameClient(r)
	if to.port == AgentPort {
		// The guest agent speaks nothing that a connection is upgraded to.
		r.Header.Del("Upgrade")
		return head
	}
	if network.SpeaksTLS(to.port) {
		head.Set(TLSHeader, "true")
	}
	if network.MaskRequestHost != "" {
		r.Host = strings.ReplaceAll(network.MaskRequestHost, "${PORT}", strconv.Itoa(int(to.port)))
	}
	return head
}

// forwardingPrefix begins most of the headers in which proxies name their client.
const forwardingPrefix = "X-Forwarded-"

// nameClient adds the client's address to X-Forwarded-For. Such headers that came
// with the request are kept only from a trusted proxy.
func (t *Router) nameClient(r *http.Request) {
	if t.Clients == nil || !t.Clients.BehindProxy(r) {
		for name := range r.Header {
			plain := hyphenated(name)
			if strings.HasPrefix(plain, forwardingPrefix) || plain == "Forwarded" || plain == "X-Real-Ip" {
				delete(r.Header, name)
			}
		}
	}
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		r.Header.Add("X-Forwarded-For", client)
	}
	setDefault(r.Header, "X-Forwarded-Host", r.Host)
	setDefault(r.Header, "X-Forwarded-Proto", "http")
}

// hyphenated is the name of a header as servers read it that tell underscores and
// hyphens not apart, as CGI and WSGI do.
func hyphenated(name string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// hostName is a Host header without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// setDefault keeps what a proxy in front has said.
func setDefault(header http.Header, name, value string) {
	if header.Get(name) == "" {
		header.Set(name, value)
	}
}
