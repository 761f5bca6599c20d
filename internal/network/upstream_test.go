package network

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// socksServer is a SOCKS5 proxy in the world (RFC 1928, RFC 1929).
type socksServer struct {
	username, password string

	mutex   sync.Mutex
	targets []string // what it was told to connect to
	refused int      // clients with other credentials
}

// serveSOCKS runs a proxy at an address of the world's, within TLS if config is given.
func serveSOCKS(t *testing.T, address string, config *tls.Config, proxy *socksServer) {
	t.Helper()
	var serving sync.WaitGroup
	require.NoError(t, inNamespace(worldNamespace, func() error {
		listener, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		if config != nil {
			listener = tls.NewListener(listener, config)
		}
		t.Cleanup(serving.Wait)
		t.Cleanup(func() { listener.Close() })
		serving.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				serving.Go(func() { proxy.serve(t.Context(), conn) })
			}
		})
		return nil
	}))
}

func (s *socksServer) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	reader := bufio.NewReader(conn)
	target, ok := s.greet(conn, reader)
	if !ok {
		return
	}
	s.mutex.Lock()
	s.targets = append(s.targets, target)
	s.mutex.Unlock()
	server, err := s.dial(target)
	if err != nil {
		_, _ = conn.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // connection refused
		return
	}
	defer server.Close()
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(server, reader)
		_ = server.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(conn, server)
	conn.Close()
	copying.Wait()
}

// dial reaches servers of the world's. The public name server is one there, and every
// name is the web server's.
func (s *socksServer) dial(target string) (conn net.Conn, err error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if host == fallbackResolver.String() {
		host = nameServer
	}
	if _, err := netip.ParseAddr(host); err != nil {
		host = webServer
	}
	err = inNamespace(worldNamespace, func() (err error) {
		conn, err = net.DialTimeout("tcp4", net.JoinHostPort(host, port), patience)
		return err
	})
	return conn, err
}

func (s *socksServer) greet(conn net.Conn, reader *bufio.Reader) (target string, ok bool) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(reader, head); err != nil || head[0] != 5 {
		return "", false
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(reader, methods); err != nil {
		return "", false
	}
	const none, password, noAcceptable = 0, 2, 0xff
	method := byte(none)
	if s.username != "" {
		method = password
	}
	if !slices.Contains(methods, method) {
		_, _ = conn.Write([]byte{5, noAcceptable})
		return "", false
	}
	_, _ = conn.Write([]byte{5, method})
	if method == password && !s.authenticate(conn, reader) {
		return "", false
	}
	return readTarget(reader)
}

func (s *socksServer) authenticate(conn net.Conn, reader *bufio.Reader) bool {
	_, _ = reader.ReadByte() // the version
	username, password := readString(reader), readString(reader)
	if username != s.username || password != s.password {
		s.mutex.Lock()
		s.refused++
		s.mutex.Unlock()
		_, _ = conn.Write([]byte{1, 1})
		return false
	}
	_, _ = conn.Write([]byte{1, 0})
	return true
}

func readString(reader *bufio.Reader) string {
	length, _ := reader.ReadByte()
	text := make([]byte, length)
	_, _ = io.ReadFull(reader, text)
	return string(text)
}

func readTarget(reader *bufio.Reader) (target string, ok bool) {
	request := make([]byte, 4)
	if _, err := io.ReadFull(reader, request); err != nil || request[1] != 1 {
		return "", false
	}
	const byAddress, byName = 1, 3
	var host string
	switch request[3] {
	case byAddress:
		address := make([]byte, 4)
		_, _ = io.ReadFull(reader, address)
		host = netip.AddrFrom4([4]byte(address)).String()
	case byName:
		host = readString(reader)
	default:
		return "", false
	}
	port := make([]byte, 2)
	_, err := io.ReadFull(reader, port)
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), err == nil
}

func (s *socksServer) took() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	taken := s.targets
	s.targets = nil
	return taken
}

const proxyAddress = otherServer + ":1080"

func TestApply_CarriesEverythingThroughAProxy(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("proxy.example", otherServer)
	w.name("inside.example", insideServers...)
	plain, secured := &socksServer{}, &socksServer{username: "user", password: "pass"}
	serveSOCKS(t, proxyAddress, nil, plain)
	certificates := w.certificates(t)
	serveSOCKS(t, otherServer+":1081", certificates, secured)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates.Certificates[0].Certificate[0]}))
	for name, test := range map[string]struct {
		proxy *socksServer
		spec  egress.Upstream
	}{
		"by address": {plain, egress.Upstream{Address: proxyAddress}},
		"by name":    {plain, egress.Upstream{Address: "proxy.example:1080"}},
		"with credentials, within TLS": {secured, egress.Upstream{
			Address: otherServer + ":1081", Username: "user", Password: "pass", TLS: true, ServerName: "good.example", CACert: authority,
		}},
	} {
		guest.apply(egress.Spec{Upstream: test.spec, DenyOut: []string{evilServer}})
		require.NoError(t, guest.echo(webServer, patience), name)
		require.Equal(t, []string{webServer + ":" + echoPort}, test.proxy.took(), name)
		answer, err := guest.get("https://good.example/", "")
		require.NoError(t, err, name)
		require.Contains(t, answer, webServer)
		require.Equal(t, []string{fallbackResolver.String() + ":53", webServer + ":443"}, test.proxy.took(), "%s: its questions too", name)
		guest.cannotReach(evilServer)
		guest.cannotReach(insideServers...)
		reply, err := guest.ask("udp", "inside.example", dns.TypeA)
		require.NoError(t, err)
		require.Empty(t, reply.Answer)
		for _, target := range test.proxy.took() {
			require.Equal(t, fallbackResolver.String()+":53", target, name)
		}
		guest.say(GuestIP, name)
		require.NoError(t, guest.echo(webServer, patience))
		require.False(t, w.hasHeard(name), "a datagram goes nowhere")
		test.proxy.took()
	}

	guest.apply(egress.Spec{})
	require.NoError(t, guest.echo(webServer, patience))
	require.Empty(t, plain.took())
}

func TestApply_TellsAProxyTheNamesThatArePermitted(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("api.example", webServer)
	w.name("evil.example", evilServer)
	proxy := &socksServer{}
	serveSOCKS(t, proxyAddress, nil, proxy)
	policy, err := egress.Parse(egress.Spec{
		DenyInternet: true, AllowOut: []string{"good.example", "api.example"}, Upstream: egress.Upstream{Address: proxyAddress},
		Rules: map[string][]egress.Rule{"api.example": {{SetHeaders: map[string]string{"X-Rule": "secret"}}}},
	})
	require.NoError(t, err)
	authority, err := egress.NewAuthority()
	require.NoError(t, err)
	require.NoError(t, guest.slot.Apply(t.Context(), policy.WithAuthority(authority)))
	answer, err := guest.get("https://good.example/", webServer)
	require.NoError(t, err)
	require.Contains(t, answer, webServer)
	answer, err = guest.get("http://api.example/", webServer)
	require.NoError(t, err)
	require.Contains(t, answer, "rule=secret")
	_, err = guest.get("http://evil.example/", evilServer)
	require.Error(t, err)
	guest.cannotReach(webServer)
	require.Equal(t, []string{"good.example:443", "api.example:80"}, proxy.took())
}

func TestApply_FailsClosedWithoutItsProxy(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	proxy := &socksServer{username: "user", password: "pass"}
	serveSOCKS(t, proxyAddress, nil, proxy)
	for name, spec := range map[string]egress.Upstream{
		"nobody is there":          {Address: otherServer + ":1099"},
		"it is no proxy":           {Address: webServer + ":80"},
		"without credentials":      {Address: proxyAddress},
		"with others' credentials": {Address: proxyAddress, Username: "user", Password: "else"},
		"without its TLS":          {Address: proxyAddress, Username: "user", Password: "pass", TLS: true},
		"its name leads inside":    {Address: "inside.example:1080"},
	} {
		w.name("inside.example", insideServers...)
		guest.apply(egress.Spec{Upstream: spec})
		require.Error(t, guest.echo(webServer, patience), name)
		_, err := guest.get("http://good.example/", webServer)
		require.Error(t, err, name)
		require.Empty(t, proxy.took(), name)
	}
	require.Positive(t, proxy.refused)
}

func TestApply_EndsWhatWentByAnotherProxy(t *testing.T) {
	_, _, guest := newPlace(t)
	proxy := &socksServer{}
	serveSOCKS(t, proxyAddress, nil, proxy)
	direct, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, echoPort))
	require.NoError(t, err)
	defer direct.Close()
	require.NoError(t, say(direct, patience))
	guest.apply(egress.Spec{Upstream: egress.Upstream{Address: proxyAddress}})
	require.Error(t, say(direct, impatience), "it was not the proxy's")
	carried, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, echoPort))
	require.NoError(t, err)
	defer carried.Close()
	require.NoError(t, say(carried, patience))
	guest.apply(egress.Spec{})
	require.NoError(t, carried.SetReadDeadline(time.Now().Add(patience)))
	require.Error(t, say(carried, patience))
}

func TestApply_RefusesAProxyWhereNoSandboxMayGo(t *testing.T) {
	w := newWorld(t)
	pool, err := NewPool(t.Context(), Config{
		StateDir: t.TempDir(), Range: testRange, Log: slog.New(slog.DiscardHandler), Resolver: netip.MustParseAddr(nameServer), Roots: w.roots,
		UpstreamNetworks: []netip.Prefix{netip.MustParsePrefix("10.99.0.9/32")},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	guest := newTenant(t, w, pool)
	for _, address := range []string{"127.0.0.1", "169.254.169.254", "192.168.99.9", GatewayIP} {
		policy, err := egress.Parse(egress.Spec{Upstream: egress.Upstream{Address: address + ":1080"}})
		require.NoError(t, err)
		require.ErrorIs(t, guest.slot.Apply(t.Context(), policy), egress.ErrForbiddenRange, address)
	}
	proxy := &socksServer{}
	serveSOCKS(t, "10.99.0.9:1080", nil, proxy)
	guest.apply(egress.Spec{Upstream: egress.Upstream{Address: "10.99.0.9:1080"}})
	require.NoError(t, guest.echo(webServer, patience), "the operator allows it")
	require.NotEmpty(t, proxy.took())
	guest.cannotReach("10.99.0.9")
}
