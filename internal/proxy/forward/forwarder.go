// Package forward sends an HTTP request to one port of one sandbox and streams the
// answer back.
//
// A request takes two hops, each with a Forwarder of its own: the control plane
// dials the host agent's traffic socket, and the host agent dials the guest.
package forward

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/inflight"
	"git.omukk.dev/wrenn/sandbox/internal/proxyheader"
)

// Headers by which the control plane tells the host agent a request's sandbox and
// port, and that the port speaks TLS. The control plane removes those of clients.
const (
	SandboxHeader = "Wrenn-Sandbox-Id"
	PortHeader    = "Wrenn-Sandbox-Port"
	TLSHeader     = "Wrenn-Sandbox-Tls"
)

// Target is one port of one sandbox and the address to dial for it: the host
// agent's, or the guest's with Network "tcp".
type Target struct {
	SandboxID string
	Port      uint16
	Network   string
	Address   string
	// TLS encrypts the connection. The port's certificate is not checked: the
	// address, which no other guest has, identifies the guest.
	TLS bool
	// Dial, if set, opens the connections, for HTTP/2 or HTTP/1.1. Address then only
	// separates the pools of connections.
	Dial func(ctx context.Context, http2 bool) (net.Conn, error)
	// Header replaces the request's headers of the same names. It is set after the
	// headers that the client's Connection header lists were removed.
	Header http.Header
	// Answer, if set, changes the answer's header.
	Answer func(http.Header)
}

func (t Target) clean(answer http.Header) {
	if t.Answer != nil {
		t.Answer(answer)
	}
}

func (t Target) scheme() string {
	if t.TLS {
		return "https"
	}
	return "http"
}

// host is the key under which connections to a target are pooled. It differs for
// each sandbox and for each address that a sandbox had. It is never resolved.
func (t Target) host() string {
	name := t.SandboxID
	if guest, _, err := net.SplitHostPort(t.Address); err == nil {
		name += "." + guest
	}
	return net.JoinHostPort(name, strconv.Itoa(int(t.Port)))
}

const (
	// idleTimeout stays under the five seconds after which Node and uvicorn close
	// an idle connection, so that no request is written into a closing one.
	idleTimeout = 4 * time.Second
	// maxIdlePerTarget lets a browser's burst of requests reuse its connections.
	maxIdlePerTarget = 32
	// maxRequests is how many requests to one sandbox may be open at a time,
	// including streams and WebSockets: each uses memory of the host until it ends.
	maxRequests = 1024
	// maxAnswerHead bounds an answer's status line and headers, in bytes.
	maxAnswerHead = 64 << 10
	// continueTimeout is how long to wait for a target's "100 Continue" or refusal
	// before the body is sent without it.
	continueTimeout = time.Second
	// dialTimeout bounds the start of a connection on this machine's networks.
	dialTimeout = 5 * time.Second
)

// Forwarder forwards requests to sandboxes. It streams bodies in both directions,
// sets no time limit, and cancels a request when its client disconnects. It speaks
// HTTP/1.1 to the target, or HTTP/2 if the request is gRPC over HTTP/2.
type Forwarder struct {
	connections connections
	requests    inflight.Counter[string] // by sandbox ID
	proxy       *httputil.ReverseProxy
	http1       *http.Transport
	http2       *http.Transport
}

// New makes a Forwarder. Close ends its pooled connections.
func New(log *slog.Logger) *Forwarder {
	f := &Forwarder{}
	f.http1 = f.transport(func(p *http.Protocols) { p.SetHTTP1(true) })
	f.http2 = f.transport(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true); p.SetHTTP2(true) })
	f.proxy = &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     f,
		FlushInterval: -1,
		BufferPool:    newBufferPool(),
		ErrorHandler:  failures{log}.handle,
		ModifyResponse: func(r *http.Response) error {
			targetOf(r.Request.Context()).clean(r.Header)
			return nil
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return f
}

// Forward sends the request to the target and the target's answer to the client.
// If the target does not answer, the client gets a Failure.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, target Target) {
	if !f.requests.Take(target.SandboxID, maxRequests) {
		WriteError(w, r, http.StatusServiceUnavailable, target.SandboxID, target.Port,
			fmt.Sprintf("The sandbox is asked too much at once: %d requests are under way", maxRequests))
		return
	}
	defer f.requests.GiveBack(target.SandboxID)
	// Without full duplex the server discards the rest of the request's body when the
	// answer begins, and a target that answers while it reads loses input.
	_ = http.NewResponseController(w).EnableFullDuplex()
	f.proxy.ServeHTTP(w, r.WithContext(withTarget(r.Context(), target)))
}

// CloseSandbox ends every connection to a sandbox, in use or pooled. It must be
// called when a sandbox is paused or killed, because a VM that has ended sends no
// FIN.
func (f *Forwarder) CloseSandbox(sandboxID string) {
	f.connections.closeAll(sandboxID)
}

// Drain waits until the server on a port of a sandbox has closed every connection
// to it, or until ctx ends. After that, every byte that the server sent has been
// read from its connection.
func (f *Forwarder) Drain(ctx context.Context, sandboxID string, port uint16) {
	f.connections.awaitNone(ctx, sandboxID, port)
}

// Close ends all idle connections. Open requests continue.
func (f *Forwarder) Close() {
	f.http1.CloseIdleConnections()
	f.http2.CloseIdleConnections()
}

// RoundTrip sends a request over the protocol that its target is spoken to with.
func (f *Forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	target := targetOf(r.Context())
	// The reverse proxy passes 1xx answers on without ModifyResponse.
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
			target.clean(http.Header(header))
			return nil
		},
	}))
	if isGRPC(r) {
		return f.http2.RoundTrip(r)
	}
	return f.http1.RoundTrip(r)
}

func (f *Forwarder) transport(choose func(*http.Protocols)) *http.Transport {
	protocols := new(http.Protocols)
	choose(protocols)
	return &http.Transport{
		Protocols:              protocols,
		DialContext:            f.connections.dialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as Target.TLS says
		DisableCompression:     true,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    maxIdlePerTarget,
		MaxResponseHeaderBytes: maxAnswerHead,
		ExpectContinueTimeout:  continueTimeout,
	}
}

// grpcOverHTTP2 marks an outgoing request whose incoming side was gRPC over HTTP/2.
type grpcOverHTTP2 struct{}

func isGRPC(r *http.Request) bool { return isMarkedGRPC(r.Context()) }

func isMarkedGRPC(ctx context.Context) bool {
	marked, _ := ctx.Value(grpcOverHTTP2{}).(bool)
	return marked
}

func rewrite(r *httputil.ProxyRequest) {
	target := targetOf(r.In.Context())
	r.Out.URL = &url.URL{
		Scheme: target.scheme(), Host: target.host(),
		Path: r.In.URL.Path, RawPath: r.In.URL.RawPath,
		RawQuery: r.In.URL.RawQuery, ForceQuery: r.In.URL.ForceQuery,
	}
	r.Out.Host = r.In.Host
	proxyheader.Prepare(r)
	if _, ok := r.In.Header["User-Agent"]; !ok {
		r.Out.Header.Set("User-Agent", "") // otherwise Go sends its own
	}
	maps.Copy(r.Out.Header, target.Header)
	if r.In.ProtoMajor == 2 && strings.HasPrefix(r.In.Header.Get("Content-Type"), "application/grpc") {
		r.Out = r.Out.WithContext(context.WithValue(r.Out.Context(), grpcOverHTTP2{}, true))
	}
}

type targetKey struct{}

func withTarget(ctx context.Context, target Target) context.Context {
	return context.WithValue(ctx, targetKey{}, target)
}

func targetOf(ctx context.Context) Target {
	target, _ := ctx.Value(targetKey{}).(Target)
	return target
}
