package host

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/conntrack"
)

// dialTimeout bounds the start of a connection to a host, including its handshake.
const dialTimeout = 5 * time.Second

// Link reaches one host: its agent by the Client, and its sandboxes by connections for
// their traffic.
type Link struct {
	*Client
	// Address is where traffic goes, and differs between links.
	Address string
	traffic func(ctx context.Context, http2 bool) (net.Conn, error)
	open    *openConnections
}

// NewLocalLink returns the link to the host agent of this machine, by its Unix sockets.
func NewLocalLink(rpcSocket, trafficSocket string) *Link {
	open := &openConnections{}
	return &Link{
		Client: NewClient(rpcSocket), Address: trafficSocket, open: open,
		traffic: func(ctx context.Context, _ bool) (net.Conn, error) { return open.dial(ctx, "unix", trafficSocket) },
	}
}

// NewRemoteLink returns the link to a host agent at an address with a port, by TLS. It
// sends nothing to a host whose certificate is not for the names of hostID.
func NewRemoteLink(hostID uuid.UUID, address string, config *tls.Config) *Link {
	open := &openConnections{}
	orders := config.Clone()
	orders.ServerName = authority.RPCName(hostID)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols, TLSClientConfig: orders, TLSHandshakeTimeout: dialTimeout,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return open.dial(ctx, "tcp", address) },
	}
	return &Link{
		Client: newClient(transport, "https://"+orders.ServerName), Address: address, open: open,
		traffic: func(ctx context.Context, http2 bool) (net.Conn, error) {
			traffic := config.Clone()
			traffic.ServerName = authority.TrafficName(hostID)
			traffic.NextProtos = []string{"http/1.1"}
			if http2 {
				traffic.NextProtos = []string{"h2"}
			}
			return open.dialTLS(ctx, address, traffic)
		},
	}
}

// DialTraffic opens a connection for the traffic of sandboxes, for HTTP/2 with prior
// knowledge or for HTTP/1.1.
func (l *Link) DialTraffic(ctx context.Context, http2 bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return l.traffic(ctx, http2)
}

// Close closes every connection to the host, and later dials fail.
func (l *Link) Close() {
	l.Client.Close()
	l.open.tracker.Close()
}

// openConnections are the connections of a link, which end with it.
type openConnections struct {
	tracker conntrack.Tracker[struct{}]
}

func (o *openConnections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return o.tracker.Dial(ctx, struct{}{}, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	})
}

func (o *openConnections) dialTLS(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	raw, err := o.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}
