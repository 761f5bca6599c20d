package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// front is a round robin before replicas, such as an operator would set up:
// each request goes to the next one, whatever came before on its connection.
type front struct {
	address  string
	listener net.Listener // nil after the first serve has ended
	targets  atomic.Pointer[[]*url.URL]
	requests atomic.Int64
}

// newFront listens already, so that its address can be part of a domain.
func newFront() (*front, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &front{address: listener.Addr().String(), listener: listener}, nil
}

// domain is what the names of sandboxes end in that are reached through it.
func (f *front) domain() string {
	_, port, _ := net.SplitHostPort(f.address)
	return net.JoinHostPort("localhost", port)
}

func (f *front) url() string { return "http://" + f.address }

// serve begins to pass requests on to some addresses, until the test ends.
func (f *front) serve(t *testing.T, addresses ...string) {
	t.Helper()
	listener := f.listener
	if f.listener = nil; listener == nil {
		var err error
		listener, err = net.Listen("tcp", f.address)
		require.NoError(t, err)
	}
	targets := make([]*url.URL, len(addresses))
	for i, address := range addresses {
		targets[i] = &url.URL{Scheme: "http", Host: address}
	}
	f.targets.Store(&targets)
	transport := httpTransport(t)
	var losses losses
	proxy := &httputil.ReverseProxy{
		ModifyResponse: losses.lose,
		Transport:      transport, FlushInterval: -1,
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
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
}

// losses are answers that the front has lost, by the mark that asked for it.
type losses struct{ seen sync.Map }

// lossHeader is what a case sends with a request whose first answer is to be lost:
// "503" or "429", what the client gets in its place, and a mark of its own. The
// request itself has been done by then.
const lossHeader = "X-Test-Lose-Answer"

func (l *losses) lose(answer *http.Response) error {
	wanted := answer.Request.Header.Get(lossHeader)
	if wanted == "" {
		return nil
	}
	if _, again := l.seen.LoadOrStore(wanted, true); again {
		return nil
	}
	status, _, _ := strings.Cut(wanted, " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		return fmt.Errorf("header %s: %w", lossHeader, err)
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	answer.StatusCode, answer.Body, answer.ContentLength = code, http.NoBody, 0
	answer.Header = http.Header{"Retry-After": {"1"}}
	if code == http.StatusServiceUnavailable {
		answer.Header.Set("Should-Retry", "true")
	}
	return nil
}
