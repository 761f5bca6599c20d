package hosttest

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
)

// Listen makes the agent reachable by TLS, as a host that has joined, until the
// test ends. It returns the address and what shows a certificate from then on.
func (a *Agent) Listen(t testing.TB, guest http.Handler) (string, func(root []byte, own *tls.Certificate)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var member atomic.Pointer[tls.Config]
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	server := &http.Server{Handler: authority.Route(a.orders(), guest), Protocols: protocols, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if config := member.Load(); config != nil {
				return config, nil
			}
			return nil, net.ErrClosed
		},
	}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return listener.Addr().String(), func(root []byte, own *tls.Certificate) {
		config, err := authority.Server(root, func() (*tls.Certificate, error) { return own, nil })
		require.NoError(t, err)
		member.Store(config)
	}
}
