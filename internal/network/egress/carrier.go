package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"sync"
	"sync/atomic"
)

// carrier sends requests under the policy whose secrets they have. It shares no connection
// with the carrier of another policy: http.Transport may send a request by a connection
// that was opened for another, and that could go through another policy's proxy, which
// must not see the secrets.
type carrier struct {
	policy    *Policy
	transport *http.Transport
	// retire fails requests that wait for a connection. Those that have one continue
	// until flows.update cuts it.
	retire func()
	// retired is whether retire was called; whenRetired is context.AfterFunc.
	retired     func() bool
	whenRetired func(func()) (stop func() bool)
}

func newCarrier(ctx context.Context, flows *flows, roots *x509.CertPool, policy *Policy) *carrier {
	ctx, cancel := context.WithCancel(ctx)
	dial := func(request context.Context, _, address string) (net.Conn, error) {
		request, stop := context.WithCancel(request)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		return flows.connectBy(request, policy, address)
	}
	transport := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the guest decodes the body
		MaxIdleConns:           maxIdleUpstream,
		MaxConnsPerHost:        maxPerServer,
		MaxResponseHeaderBytes: maxHead,
		IdleConnTimeout:        upstreamIdle,
	}
	return &carrier{
		policy: policy, transport: transport,
		retire:      func() { cancel(); transport.CloseIdleConnections() },
		retired:     func() bool { return ctx.Err() != nil },
		whenRetired: func(then func()) (stop func() bool) { return context.AfterFunc(ctx, then) },
	}
}

// RoundTrip fails with ErrPolicyChanged if the carrier is retired before the request has
// a connection.
func (c *carrier) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	stop := c.whenRetired(func() { cancel(ErrPolicyChanged) })
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		connected.Store(true)
		stop()
	}})
	response, err := c.transport.RoundTrip(request.WithContext(ctx))
	if err == nil {
		return response, nil
	}
	stop()
	cancel(err)
	if !connected.Load() && c.retired() {
		return nil, ErrPolicyChanged
	}
	return nil, err
}

// connectBy connects to a host that destination returned, with its port, for requests
// that have the secrets of a policy, as long as that is in force.
func (s *flows) connectBy(ctx context.Context, policy *Policy, address string) (net.Conn, error) {
	host, port, err := splitHostPort(address)
	if err != nil {
		return nil, err
	}
	if s.current() != policy {
		return nil, ErrPolicyChanged
	}
	opened, err := s.connect(ctx, policy, host, netip.AddrPortFrom(netip.Addr{}, port))
	if err != nil && s.current() != policy {
		return nil, fmt.Errorf("%w: %w", ErrPolicyChanged, err)
	}
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// carriers has the carrier of the policy in force.
type carriers struct {
	flows *flows
	begin func(*Policy) *carrier

	mutex sync.Mutex // taken before flows.mutex
	held  *carrier   // nil before the first request by a policy
}

// current returns the carrier, which it makes if there is none.
func (c *carriers) current() *carrier {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	policy := c.flows.current()
	c.retireUnless(policy)
	if c.held == nil {
		c.held = c.begin(policy)
	}
	return c.held
}

// update retires the carrier of the policy before.
func (c *carriers) update() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.retireUnless(c.flows.current())
}

func (c *carriers) retireUnless(policy *Policy) {
	if c.held != nil && c.held.policy != policy {
		c.held.retire()
		c.held = nil
	}
}

// close retires the carrier for good.
func (c *carriers) close() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.held != nil {
		c.held.retire()
		c.held = nil
	}
}
