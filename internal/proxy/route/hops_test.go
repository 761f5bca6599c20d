package route_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/route"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// closedGuestPort is a port on which nothing listens.
const closedGuestPort = 1

func at(port int) http.Header {
	return http.Header{"E2b-Sandbox-Id": {sandboxID}, "E2b-Sandbox-Port": {strconv.Itoa(port)}}
}

// sandboxID is the one sandbox of the tests.
const sandboxID = "i0123456789abcdefghi"

// hops are the two servers between a client and a guest, as the control plane and
// the host agent have them: real connections, a directory of one sandbox.
type hops struct {
	url   string
	agent *forward.Forwarder // the host agent's
	guest string             // the address that is dialled for every port but the closed one
	log   *watchedLog
}

func startHops(t *testing.T, guest string) *hops {
	t.Helper()
	return startHopsWith(t, guest, httpserver.Options{})
}

// startHopsWith starts hops whose first has options.
func startHopsWith(t *testing.T, guest string, options httpserver.Options) *hops {
	t.Helper()
	h := &hops{guest: guest, log: &watchedLog{}}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	h.agent = forward.New(log)
	t.Cleanup(h.agent.Close)
	dir, err := os.MkdirTemp("", "wrenn-hops-") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "traffic.sock")
	h.listen(t, "unix", socket, http.HandlerFunc(h.toGuest), httpserver.Options{})

	link := host.NewLocalLink(filepath.Join(dir, "rpc.sock"), socket)
	forwarder := forward.New(log)
	t.Cleanup(forwarder.Close)
	router := &route.Router{
		Domains: route.NewDomains(), Directory: oneSandbox{}, Tokens: fixedTokens{}, Forwarder: forwarder, Hosts: oneHost{link}, Log: log,
	}
	h.url = "http://" + h.listen(t, "tcp", "127.0.0.1:0", router.Before(http.NotFoundHandler()), options)
	return h
}

func (h *hops) listen(t *testing.T, network, address string, handler http.Handler, options httpserver.Options) string {
	t.Helper()
	raw, err := net.Listen(network, address)
	require.NoError(t, err)
	listener := httpserver.NewListener(raw, httpserver.Limits{})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: httpserver.Handler(handler, options), Protocols: protocols, ConnContext: httpserver.ConnContext,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(h.log, nil), slog.LevelError),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return raw.Addr().String()
}

// toGuest is the host agent's part.
func (h *hops) toGuest(w http.ResponseWriter, r *http.Request) {
	id, address := r.Header.Get(forward.SandboxHeader), h.guest
	port, _ := strconv.ParseUint(r.Header.Get(forward.PortHeader), 10, 16)
	if port == closedGuestPort {
		address = "127.0.0.1:1"
	}
	h.agent.Forward(w, r, forward.Target{SandboxID: id, Port: uint16(port), Network: "tcp", Address: address})
}

type oneSandbox struct{}

func (oneSandbox) GetWithEpochs(_ context.Context, id string) (sandbox.Sandbox, auth.Epochs, error) {
	if id != sandboxID {
		return sandbox.Sandbox{}, auth.Epochs{}, store.ErrNotFound
	}
	return sandbox.Sandbox{ID: id, State: sandbox.Running}, auth.Epochs{}, nil
}

type fixedTokens struct{}

func (fixedTokens) EnvdAccess(string, auth.Epochs) string    { return "envd" }
func (fixedTokens) TrafficAccess(string, auth.Epochs) string { return "traffic" }

type oneHost struct{ link *host.Link }

func (h oneHost) Link(uuid.UUID) *host.Link { return h.link }

// watchedLog remembers what servers complain about.
type watchedLog struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (l *watchedLog) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(line)
}

func (l *watchedLog) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}
