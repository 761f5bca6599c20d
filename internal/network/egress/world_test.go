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
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// world is an internet on loopback: names, and the servers behind public
// addresses, which only its dialer knows how to find.
type world struct {
	t         *testing.T
	gateway   *Gateway
	authority *Authority
	door      net.Addr // where the guest's redirected connections arrive
	names     net.Addr // where the guest asks for names

	mutex     sync.Mutex
	original  netip.AddrPort // what the guest believes to connect to
	servers   map[string]string
	addresses map[string][]string
	asked     []string
	dialled   []string
	onDial    func() // called in the middle of a dial, if set
	roots     *x509.CertPool
	warnings  []string
}

// Write keeps what an operator would be told.
func (w *world) Write(line []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.warnings = append(w.warnings, string(line))
	return len(line), nil
}

func (w *world) requireWarned(about string) {
	w.t.Helper()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	require.Len(w.t, w.warnings, 1, "once, however often")
	require.Contains(w.t, w.warnings[0], about)
}

func newWorld(t *testing.T, spec Spec) *world {
	t.Helper()
	w := &world{t: t, servers: map[string]string{}, addresses: map[string][]string{}, roots: x509.NewCertPool()}
	upstream := w.serveNames()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	streams, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	connections, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	w.door, w.names = connections.Addr(), packets.LocalAddr()
	w.authority, err = NewAuthority()
	require.NoError(t, err)
	w.gateway = StartGateway(GatewayConfig{
		Packets: packets, Streams: streams, Connections: connections,
		Original:   func(*net.TCPConn) (netip.AddrPort, error) { return w.destination(), nil },
		Dial:       w.dial,
		NameServer: upstream, Roots: w.roots, Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, parse(t, spec).WithAuthority(w.authority))
	t.Cleanup(w.gateway.Close)
	return w
}

func (w *world) destination() netip.AddrPort {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.original
}

// dial reaches the name server itself and whatever has a server.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mutex.Lock()
	actual, found := w.servers[address]
	if network == "tcp4" {
		w.dialled = append(w.dialled, address)
	}
	onDial := w.onDial
	w.mutex.Unlock()
	if onDial != nil && network == "tcp4" {
		onDial()
	}
	if strings.HasPrefix(address, "127.0.0.1:") {
		actual, found = address, true
	}
	if !found {
		return nil, errors.New("no server is at " + address)
	}
	return new(net.Dialer).DialContext(ctx, network, actual)
}

func (w *world) serveNames() netip.AddrPort {
	w.t.Helper()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(w.t, err)
	started := make(chan struct{})
	server := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(w.answer)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ActivateAndServe() })
	<-started
	w.t.Cleanup(func() { require.NoError(w.t, server.Shutdown()); serving.Wait() })
	return netip.MustParseAddrPort(packets.LocalAddr().String())
}

func (w *world) answer(writer dns.ResponseWriter, query *dns.Msg) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	question := query.Question[0]
	w.asked = append(w.asked, question.Name)
	reply := new(dns.Msg).SetReply(query)
	for _, address := range w.addresses[question.Name] {
		header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
		reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: net.ParseIP(address)})
	}
	_ = writer.WriteMsg(reply)
}

// log returns the names that were asked for and the addresses dialled.
func (w *world) log() (asked, dialled []string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Clone(w.asked), slices.Clone(w.dialled)
}

// name lets a name resolve to addresses.
func (w *world) name(name string, addresses ...string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.addresses[dns.Fqdn(name)] = addresses
}

// http puts an HTTP server that answers with its name and what it was sent at
// a public address; with TLS, its certificate is for the name.
func (w *world) http(address, name string, secure bool) {
	w.t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/socket":
			echoMessages(writer, request)
			return
		case "/wait":
			<-request.Context().Done()
			return
		case "/head":
			writer.Header().Set("X-Much", strings.Repeat("x", 2*maxHead))
		}
		writer.Header().Set("X-Server", name)
		writer.Header().Set("X-Got-Host", request.Host)
		writer.Header().Set("X-Got-Rule", strings.Join(request.Header.Values("X-Rule"), ","))
		writer.Header().Set("X-Got-Path", request.RequestURI)
		writer.Header().Set("X-Got-Offer", fmt.Sprint(append(request.Header["Upgrade"], request.Header["Http2-Settings"]...)))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if secure {
		issuer, err := NewAuthority()
		require.NoError(w.t, err)
		w.roots.AddCert(issuer.certificate)
		leaf, err := issuer.leaf(name)
		require.NoError(w.t, err)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS12}
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	w.t.Cleanup(server.Close)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.servers[address] = server.Listener.Addr().String()
}

func echoMessages(writer http.ResponseWriter, request *http.Request) {
	socket, err := websocket.Accept(writer, request, nil)
	if err != nil {
		return
	}
	defer socket.CloseNow()
	for {
		kind, said, err := socket.Read(request.Context())
		if err != nil || socket.Write(request.Context(), kind, said) != nil {
			return
		}
	}
}

// guest is an HTTP client whose every connection is redirected, as if it had
// dialled original.
func (w *world) guest(original string, roots *x509.CertPool) *http.Client {
	w.t.Helper()
	w.mutex.Lock()
	w.original = netip.MustParseAddrPort(original)
	w.mutex.Unlock()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp4", w.door.String())
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns the answer's status and header, with its body read.
func get(t *testing.T, client *http.Client, url string) (int, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, response.Header
}

func getFails(t *testing.T, client *http.Client, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	require.Error(t, err)
}

func (w *world) ask(name string, kind uint16) *dns.Msg {
	w.t.Helper()
	reply, _, err := new(dns.Client).ExchangeContext(w.t.Context(), new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), w.names.String())
	require.NoError(w.t, err, strconv.Itoa(int(kind)))
	return reply
}
