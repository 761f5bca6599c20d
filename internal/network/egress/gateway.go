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

// GatewayConfig has a Gateway's sockets and dialers. The gateway closes the sockets.
type GatewayConfig struct {
	// Packets and Streams receive the guest's DNS queries.
	Packets net.PacketConn
	Streams net.Listener
	// Connections accepts the guest's redirected TCP connections.
	Connections *net.TCPListener
	// Original returns the destination of such a connection before it was redirected.
	Original func(*net.TCPConn) (netip.AddrPort, error)
	// Dial opens connections to the outside.
	Dial Dial
	// NameServer gets the guest's queries.
	NameServer netip.AddrPort
	// PublicNameServer gets them if they go through a proxy, which does not reach a name
	// server of the host's network.
	PublicNameServer netip.AddrPort
	// UpstreamNetworks are ranges of Forbidden that a sandbox's proxy may be in;
	// DialHost reaches them.
	UpstreamNetworks []netip.Prefix
	DialHost         Dial
	// Roots verify the certificates of servers; nil for the system's.
	Roots *x509.CertPool
	Log   *slog.Logger
}

// Gateway answers one sandbox's DNS queries and carries those of its connections that a
// policy cannot decide by address alone.
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

// Update puts another Complete policy in force, cuts the connections that it denies, and
// fails requests that wait for a connection under the policy before.
func (g *Gateway) Update(policy *Policy) {
	g.flows.update(policy)
	g.requests.carriers.update()
}

// Close cuts every connection, closes the sockets and waits for all goroutines.
func (g *Gateway) Close() {
	g.cancel()
	g.flows.closeAll()
	g.serving.Wait()
}
