package e2e

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// front is a round robin before replicas, such as an operator would set up:
// each request goes to the next one, whatever came before on its connection.
type front struct {
	listener net.Listener
	targets  atomic.Pointer[[]*url.URL]
	requests atomic.Int64
}

// newFront listens already, so that its address can be part of a domain.
func newFront() (*front, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	return &front{listener: listener}, err
}

// domain is what the names of sandboxes end in that are reached through it.
func (f *front) domain() string {
	_, port, _ := net.SplitHostPort(f.listener.Addr().String())
	return net.JoinHostPort("localhost", port)
}

func (f *front) url() string { return "http://" + f.listener.Addr().String() }

// serve begins to pass requests on to some addresses, until the test ends.
func (f *front) serve(t *testing.T, addresses ...string) {
	t.Helper()
	targets := make([]*url.URL, len(addresses))
	for i, address := range addresses {
		targets[i] = &url.URL{Scheme: "http", Host: address}
	}
	f.targets.Store(&targets)
	transport := httpTransport(t)
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			now := *f.targets.Load()
			r.SetURL(now[int(f.requests.Add(1))%len(now)])
			r.Out.Host = r.In.Host
		},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: proxy, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(f.listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
}
