package host

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/pkg/authority"
)

// dialTimeout bounds the start of a connection to a host, with its handshake.
const dialTimeout = 5 * time.Second

// Link is the way to one host: orders by the Client, and connections for the
// traffic of its sandboxes.
type Link struct {
	*Client
	// Address tells links apart: it is where traffic goes.
	Address string
	traffic func(ctx context.Context, http2 bool) (net.Conn, error)
	open    *openConnections
}

// NewLocalLink reaches the host agent on this machine by its Unix sockets.
func NewLocalLink(rpcSocket, trafficSocket string) *Link {
	open := newOpenConnections()
	return &Link{
		Client: NewClient(rpcSocket), Address: trafficSocket, open: open,
		traffic: func(ctx context.Context, _ bool) (net.Conn, error) { return open.dial(ctx, "unix", trafficSocket) },
	}
}

// NewRemoteLink reaches a host agent by TLS, at an address with a port. The host
// shows a certificate for the names of hostID, or nothing is said to it.
func NewRemoteLink(hostID uuid.UUID, address string, config *tls.Config) *Link {
	open := newOpenConnections()
	orders := config.Clone()
	orders.ServerName = authority.RPCName(hostID)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols, TLSClientConfig: orders, TLSHandshakeTimeout: dialTimeout,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return open.dial(ctx, "tcp", address) },
	}
	url := "https://" + orders.ServerName
	rpc := hostagentv1connect.NewHostAgentClient(&http.Client{Transport: transport}, url, sendRequest)
	return &Link{
		Client: &Client{rpc: rpc, transport: transport, address: url}, Address: address, open: open,
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

// DialTraffic opens a connection for the traffic of sandboxes, on which HTTP/2 is
// spoken at once, or HTTP/1.1.
func (l *Link) DialTraffic(ctx context.Context, http2 bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return l.traffic(ctx, http2)
}

// Close ends every connection to the host, in use or not, and opens no more.
func (l *Link) Close() {
	l.Client.Close()
	l.open.closeAll()
}

// openConnections are those that must end with their link.
type openConnections struct {
	mutex  sync.Mutex
	closed bool
	all    map[*connection]struct{}
}

func newOpenConnections() *openConnections {
	return &openConnections{all: map[*connection]struct{}{}}
}

func (o *openConnections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: raw, owner: o}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.closed {
		_ = raw.Close()
		return nil, net.ErrClosed
	}
	o.all[conn] = struct{}{}
	return conn, nil
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

func (o *openConnections) closeAll() {
	o.mutex.Lock()
	o.closed = true
	all := o.all
	o.all = map[*connection]struct{}{}
	o.mutex.Unlock()
	for conn := range all {
		_ = conn.Conn.Close()
	}
}

// connection is forgotten when it is closed.
type connection struct {
	net.Conn
	owner *openConnections
}

// Close closes the connection.
func (c *connection) Close() error {
	c.owner.mutex.Lock()
	delete(c.owner.all, c)
	c.owner.mutex.Unlock()
	return c.Conn.Close()
}
