package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
	"git.omukk.dev/wrenn/sandbox/internal/proxyheader"
)

const (
	maxHead = 64 << 10 // of a request, and of its answer
	// maxRequests bounds the requests of one guest at a time, over all its connections.
	maxRequests = maxConnections
	// maxPerServer bounds the connections to each server, those being opened included.
	maxPerServer     = 128
	maxStreams       = 100
	maxUnread        = 256 << 10 // of a guest's HTTP/2 connection, in our memory
	guestIdle        = 2 * time.Minute
	upstreamIdle     = 30 * time.Second
	maxIdleUpstream  = 64
	handshakeTimeout = 10 * time.Second
)

// requests carries each HTTP request by itself: the next on the same connection may be
// for another host.
type requests struct {
	flows    *flows
	roots    *x509.CertPool // nil for the system's
	log      *slog.Logger
	notices  *notice.Notices
	incoming *handover
	turns    chan struct{}  // held by each request
	serving  sync.WaitGroup // connections and requests
	proxy    *httputil.ReverseProxy
	carriers carriers
}

func newRequests(flows *flows, roots *x509.CertPool, log *slog.Logger, notices *notice.Notices) *requests {
	return &requests{
		flows: flows, roots: roots, log: log, notices: notices,
		incoming: newHandover(), turns: make(chan struct{}, maxRequests), carriers: carriers{flows: flows},
	}
}

// take hands over a guest's connection, which serve closes.
func (r *requests) take(opened *opening) { r.incoming.offer(opened) }

// takeTLS is take for a connection whose TLS the gateway ends in place of the server.
func (r *requests) takeTLS(opened *opening, authority *Authority) {
	r.incoming.offer(tls.Server(opened, authority.tlsConfig()))
}

// serve answers until ctx ends, then closes every connection that it has.
func (r *requests) serve(ctx context.Context) {
	r.carriers.begin = func(policy *Policy) *carrier { return newCarrier(ctx, r.flows, r.roots, policy) }
	errorLog := slog.NewLogLogger(r.log.Handler(), slog.LevelDebug)
	r.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: byRoute{}, FlushInterval: -1, ErrorHandler: r.failed, ErrorLog: errorLog,
	}
	server := &http.Server{
		Handler:           r,
		ReadHeaderTimeout: openingTimeout,
		IdleTimeout:       guestIdle,
		MaxHeaderBytes:    maxHead,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxUnread, MaxReceiveBufferPerStream: maxUnread,
		},
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withOriginal,
		ConnState:   r.count,
		ErrorLog:    errorLog,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(r.incoming); ctx.Err() == nil {
		r.log.ErrorContext(ctx, "serve the guest's requests", "error", err)
	}
	stop()
	server.Close()
	r.serving.Wait()
	r.carriers.close()
}

// count counts connections for serve, which waits for them. A hijacked one counts with
// its request.
func (r *requests) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		r.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		r.serving.Done()
	case http.StateActive, http.StateIdle:
	}
}

// ServeHTTP carries one request, or refuses it over maxRequests.
func (r *requests) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	r.serving.Add(1)
	defer r.serving.Done()
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
		r.carry(writer, request)
	default:
		r.notices.Warn("the guest has too many requests under way")
		r.failed(writer, request, ErrBusy)
	}
}

// carry carries one request under one policy, from the decision to the end.
func (r *requests) carry(writer http.ResponseWriter, request *http.Request) {
	name := hostName(request.Host)
	by := r.carriers.current()
	policy := by.policy
	change, ruled := policy.transformFor(name)
	switch {
	case request.Method == http.MethodConnect || request.Method == http.MethodTrace:
		// The content of a tunnel could not be checked; TRACE would show the guest the
		// headers that rules set.
		http.Error(writer, "wrenn: method not allowed through a network policy", http.StatusMethodNotAllowed)
		return
	case request.TLS != nil && !ruled:
		http.Error(writer, "wrenn: this connection is for another host", http.StatusMisdirectedRequest)
		return
	}
	original := originalOf(request.Context())
	host, err := destination(policy, name, original.Addr())
	if err != nil {
		r.failed(writer, request, err)
		return
	}
	filled, err := policy.fill(change)
	if err != nil {
		r.failed(writer, request, err)
		return
	}
	scheme := "http"
	if request.TLS != nil {
		scheme = "https"
	}
	route := route{by: by, transform: filled, target: url.URL{
		Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(int(original.Port()))),
	}}
	r.proxy.ServeHTTP(writer, request.WithContext(context.WithValue(request.Context(), routeKey{}, route)))
}

// route is the destination of a request, its policy, and how it is changed.
type route struct {
	by        *carrier
	target    url.URL
	transform transform
}

type routeKey struct{}

// byRoute sends each request by the carrier of its route.
type byRoute struct{}

func (byRoute) RoundTrip(request *http.Request) (*http.Response, error) {
	route, _ := request.Context().Value(routeKey{}).(route)
	return route.by.RoundTrip(request)
}

// rewrite keeps a request as the guest wrote it, except for what a rule changes.
func rewrite(request *httputil.ProxyRequest) {
	route, _ := request.In.Context().Value(routeKey{}).(route)
	request.Out.URL.Scheme, request.Out.URL.Host = route.target.Scheme, route.target.Host
	request.Out.URL.RawQuery = request.In.URL.RawQuery
	proxyheader.Prepare(request)
	route.transform.apply(request.Out.Header)
}

// failed answers a request that was not carried.
func (r *requests) failed(writer http.ResponseWriter, request *http.Request, err error) {
	r.log.DebugContext(request.Context(), "carry the guest's request", "host", hostName(request.Host), "error", err)
	if errors.Is(err, ErrPolicyChanged) {
		http.Error(writer, "wrenn: "+ErrPolicyChanged.Error(), http.StatusServiceUnavailable)
		return
	}
	if errors.Is(err, ErrDenied) {
		http.Error(writer, "wrenn: "+ErrDenied.Error(), http.StatusForbidden)
		return
	}
	if errors.Is(err, ErrBusy) {
		http.Error(writer, "wrenn: "+ErrBusy.Error(), http.StatusServiceUnavailable)
		return
	}
	if errors.Is(err, ErrUpstream) {
		http.Error(writer, "wrenn: "+ErrUpstream.Error(), http.StatusBadGateway)
		return
	}
	for _, missing := range []error{ErrNoSecret, ErrNoToken} {
		if errors.Is(err, missing) {
			http.Error(writer, "wrenn: "+missing.Error(), http.StatusBadGateway)
			return
		}
	}
	http.Error(writer, "wrenn: the server cannot be reached", http.StatusBadGateway)
}

// hostName is the normal form of a Host header's name, or empty.
func hostName(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		header = host
	}
	name, ok := normaliseDomain(header)
	if !ok {
		return ""
	}
	return name
}

func splitHostPort(address string) (host string, port uint16, err error) {
	host, written, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(written, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port of %s: %w", address, err)
	}
	return host, uint16(number), nil
}
