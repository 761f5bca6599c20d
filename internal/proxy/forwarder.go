// Package proxy carries requests to the servers inside sandboxes: from the
// control plane to the host agent, and from there into the guest.
package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Headers by which the control plane tells the host agent where a request
// goes. A client's own are always removed.
const (
	SandboxHeader = "Wrenn-Sandbox-Id"
	PortHeader    = "Wrenn-Sandbox-Port"
)

// Target is one server inside a sandbox and how to reach it from here.
type Target struct {
	SandboxID string
	Port      uint16
	// Network and Address are what to dial: "tcp" to a guest, "unix" to a host
	// agent's traffic socket.
	Network string
	Address string
	// Header is added to the request on its way.
	Header http.Header
}

// Forwarder forwards requests without buffering: streams, WebSockets, gRPC.
type Forwarder struct {
	plain *http.Transport // HTTP/1.1: what every server speaks
	h2    *http.Transport // HTTP/2 without TLS: gRPC
	log   *slog.Logger
}

const (
	dialTimeout = 5 * time.Second
	idleTimeout = 30 * time.Second
)

type targetKey struct{}

// NewForwarder makes a forwarder. Close ends its idle connections.
func NewForwarder(log *slog.Logger) *Forwarder {
	dialer := &net.Dialer{Timeout: dialTimeout}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		target := ctx.Value(targetKey{}).(Target)
		return dialer.DialContext(ctx, target.Network, target.Address)
	}
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return &Forwarder{
		plain: &http.Transport{
			DialContext: dial, DisableCompression: true,
			MaxIdleConnsPerHost: 32, IdleConnTimeout: idleTimeout,
		},
		h2:  &http.Transport{DialContext: dial, DisableCompression: true, Protocols: h2, IdleConnTimeout: idleTimeout},
		log: log,
	}
}

// Close ends the connections that nobody uses.
func (f *Forwarder) Close() {
	f.plain.CloseIdleConnections()
	f.h2.CloseIdleConnections()
}

// Forward sends a request to target and its answer back, as both come. Where
// there is no answer to send, w gets a 502 that says why.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, target Target) {
	ctx := context.WithValue(r.Context(), targetKey{}, target)
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { rewrite(p, target) },
		Transport:     f.transportFor(r),
		FlushInterval: -1, // every write goes out at once
		ErrorLog:      slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			f.fail(w, r, target, err)
		},
	}
	reverse.ServeHTTP(w, r.WithContext(ctx))
}

// rewrite keeps the client's host name, path and query as they came. The URL's
// host only keys the connection pool: connections to one server are reused
// for that server alone.
func rewrite(p *httputil.ProxyRequest, target Target) {
	p.Out.URL = &url.URL{
		Scheme: "http", Host: poolKey(target),
		Path: p.In.URL.Path, RawPath: p.In.URL.RawPath, RawQuery: p.In.URL.RawQuery,
	}
	p.Out.Host = p.In.Host
	p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
	p.Out.Header["X-Forwarded-Host"] = p.In.Header["X-Forwarded-Host"]
	p.Out.Header["X-Forwarded-Proto"] = p.In.Header["X-Forwarded-Proto"]
	for name, values := range target.Header {
		p.Out.Header[name] = values
	}
	if _, sent := p.In.Header["User-Agent"]; !sent {
		p.Out.Header["User-Agent"] = nil // nil keeps Go from adding its own
	}
}

// poolKey is a host name no two targets share. Behind a Unix socket one
// connection serves every sandbox; each request names its own in headers.
func poolKey(target Target) string {
	if target.Network == "unix" {
		return "host-agent.internal"
	}
	return target.Address
}

// transportFor picks HTTP/2 for gRPC, which needs it, and HTTP/1.1 for all
// else, because that is what a server in a sandbox surely speaks.
func (f *Forwarder) transportFor(r *http.Request) *http.Transport {
	if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return f.h2
	}
	return f.plain
}

// fail answers a request that could not be forwarded.
func (f *Forwarder) fail(w http.ResponseWriter, r *http.Request, target Target, err error) {
	if r.Context().Err() != nil {
		return // the client left; nobody reads an answer
	}
	message := "the sandbox did not answer"
	if errors.Is(err, syscall.ECONNREFUSED) {
		message = "the port is not open in the sandbox"
	}
	f.log.Debug("forward request", "sandbox", target.SandboxID, "port", target.Port, "error", err)
	WriteError(w, http.StatusBadGateway, target.SandboxID, target.Port, message)
}

// WriteError answers in the form that the SDKs read when a sandbox cannot be
// reached.
func WriteError(w http.ResponseWriter, status int, sandboxID string, port uint16, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		SandboxID string `json:"sandboxId"`
		Port      uint16 `json:"port,omitempty"`
		Message   string `json:"message"`
		Code      int    `json:"code"`
	}{sandboxID, port, message, status})
}
