package egress

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

// GatewayConfig is a Gateway's way in and out. The gateway closes the sockets.
type GatewayConfig struct {
	// Packets and Streams are where the guest asks for names.
	Packets net.PacketConn
	Streams net.Listener
	// Connections gets what the guest's TCP connections are redirected to.
	Connections *net.TCPListener
	// Original tells where such a connection was meant to go.
	Original func(*net.TCPConn) (netip.AddrPort, error)
	// Dial opens connections to the outside.
	Dial Dial
	// NameServer is asked what the guest asks for.
	NameServer netip.AddrPort
	// PublicNameServer is asked instead through a proxy, which does not reach a name
	// server of the host's network.
	PublicNameServer netip.AddrPort
	// UpstreamNetworks are ranges of Forbidden that a sandbox's proxy may be in;
	// DialHost reaches them.
	UpstreamNetworks []netip.Prefix
	DialHost         Dial
	// Roots are the authorities that servers are believed by; nil for the system's.
	Roots *x509.CertPool
	Log   *slog.Logger
}

// Gateway stands between one sandbox and the outside where a policy cannot be
// kept by address alone.
type Gateway struct {
	flows    *flows
	requests *requests
	cancel   context.CancelFunc
	serving  sync.WaitGroup
}

// StartGateway serves a Complete policy until Close.
func StartGateway(config GatewayConfig, policy *Policy) *Gateway {
	notices := notice.New(config.Log)
	flows := &flows{
		dial: config.Dial, turns: make(chan struct{}, maxConnecting), notices: notices,
		policy: policy, open: map[*flow]struct{}{},
	}
	flows.upstreams = &upstreams{
		dial: config.Dial, resolver: newResolver(config.NameServer, config.Dial),
		allowed: config.UpstreamNetworks, dialHost: config.DialHost, roots: config.Roots,
	}
	resolver := newResolver(config.NameServer, config.Dial)
	resolver.through, resolver.publicUpstream = flows.tunnelled, config.PublicNameServer
	flows.resolver = resolver
	names := newNameServer(flows.current, resolver, config.Log, notices)
	proxy := &proxy{
		flows: flows, original: config.Original, patience: openingTimeout, log: config.Log, notices: notices,
		turns:    make(chan struct{}, maxConnections),
		requests: newRequests(flows, config.Roots, config.Log, notices),
	}
	ctx, cancel := context.WithCancel(context.Background())
	gateway := &Gateway{flows: flows, requests: proxy.requests, cancel: cancel}
	gateway.serving.Go(func() { names.serve(ctx, config.Packets, config.Streams) })
	gateway.serving.Go(func() { proxy.serve(ctx, config.Connections) })
	return gateway
}

// Update puts another Complete policy in force, cuts what it denies, and fails the
// requests that wait for a connection by the policy before.
func (g *Gateway) Update(policy *Policy) {
	g.flows.update(policy)
	g.requests.carriers.update()
}

// Close cuts every connection, closes the sockets and waits for all it started.
func (g *Gateway) Close() {
	g.cancel()
	g.flows.closeAll()
	g.serving.Wait()
}
