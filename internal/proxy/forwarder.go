// Package proxy carries requests into sandboxes. A Forwarder sends one request
// to one port of one sandbox and streams what comes back; a Router, used by the
// control plane, decides which sandbox a request is for and whether it may pass.
//
// A request takes two hops, each with a Forwarder of its own: the control plane
// dials the host agent's traffic socket, and the host agent dials the guest.
package proxy

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

	"git.omukk.dev/wrenn/sandbox/internal/h2c"
	"git.omukk.dev/wrenn/sandbox/internal/inflight"
)

// Headers by which the control plane names a guest to the host agent, and says
// that the port speaks TLS. A client's own are always removed.
const (
	SandboxHeader = "Wrenn-Sandbox-Id"
	PortHeader    = "Wrenn-Sandbox-Port"
	TLSHeader     = "Wrenn-Sandbox-Tls"
)

// Target is one port of one sandbox and what to dial to reach it from here: a
// host, or "tcp" and a guest's address.
type Target struct {
	SandboxID string
	Port      uint16
	Network   string
	Address   string
	// TLS is spoken to the port, whose certificate is not checked: that it is the
	// guest's is known by its address.
	TLS bool
	// Dial, where it is set, opens the connections instead, for HTTP/2 or HTTP/1.1.
	// Address then only tells places apart.
	Dial func(ctx context.Context, http2 bool) (net.Conn, error)
	// Header is set on the request in place of the client's own, after the headers
	// that the client's Connection names have gone.
	Header http.Header
	// Answer, where it is set, changes the head of what comes back.
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

// host is the key under which connections to a target are pooled: never shared
// between sandboxes, nor between places where one sandbox has been. Nobody
// resolves it.
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
	// maxRequests is what one sandbox is asked at a time, streams and WebSockets
	// among them: each costs the host memory as long as it lasts.
	maxRequests = 1024
	// maxAnswerHead is what is read of an answer before its body.
	maxAnswerHead = 64 << 10
	// continueTimeout is how long a target that a client expects "100 Continue" from
	// may take to say so, or to refuse the body, before it gets the body unasked.
	continueTimeout = time.Second
	// dialTimeout bounds only the start of a connection, on this machine's networks.
	dialTimeout = 5 * time.Second
)

// Forwarder forwards requests to sandboxes: streamed, never buffered, without a
// time limit, and cancelled when the client goes away. It speaks HTTP/1.1 to the
// target, but HTTP/2 where gRPC came in over HTTP/2.
type Forwarder struct {
	connections connections
	requests    inflight.Counter[string] // by sandbox ID
	proxy       *httputil.ReverseProxy
	http1       *http.Transport
	http2       *http.Transport
}

// NewForwarder makes a Forwarder. Close ends its pooled connections.
func NewForwarder(log *slog.Logger) *Forwarder {
	f := &Forwarder{connections: connections{open: map[string]map[*connection]struct{}{}}}
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
// Where the target cannot answer the client gets a JSON error instead.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, target Target) {
	if !f.requests.Take(target.SandboxID, maxRequests) {
		WriteError(w, r, http.StatusServiceUnavailable, target.SandboxID, target.Port,
			fmt.Sprintf("The sandbox is asked too much at once: %d requests are under way", maxRequests))
		return
	}
	defer f.requests.GiveBack(target.SandboxID)
	// Without this the server swallows what is left of the request body when the
	// answer begins, and a target that answers while it reads loses input.
	_ = http.NewResponseController(w).EnableFullDuplex()
	f.proxy.ServeHTTP(w, r.WithContext(withTarget(r.Context(), target)))
}

// CloseSandbox ends every connection to a sandbox, in use or pooled. Whoever
// pauses or kills a sandbox calls it, since a machine that is gone sends no FIN.
func (f *Forwarder) CloseSandbox(sandboxID string) {
	f.connections.closeAll(sandboxID)
}

// Drain waits until every connection to a port of a sandbox has ended by itself,
// or ctx ends: what the port's server has said then is on its way to the client.
func (f *Forwarder) Drain(ctx context.Context, sandboxID string, port uint16) {
	f.connections.awaitNone(ctx, sandboxID, port)
}

// Close ends all pooled connections. Requests under way are not disturbed.
func (f *Forwarder) Close() {
	f.http1.CloseIdleConnections()
	f.http2.CloseIdleConnections()
}

// RoundTrip picks the protocol towards the target.
func (f *Forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	target := targetOf(r.Context())
	// The reverse proxy hands informational answers on without ModifyResponse.
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
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
	if _, ok := r.In.Header["User-Agent"]; !ok {
		r.Out.Header.Set("User-Agent", "") // keeps Go from naming itself
	}
	h2c.Refuse(r.Out.Header)
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
