package network

import (
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/network/sockstest"
)

// serveSOCKS runs a proxy at an address of the world's, within TLS if config is given.
func serveSOCKS(t *testing.T, address string, config *tls.Config, proxy *sockstest.Server) {
	t.Helper()
	proxy.Dial = dialWorld
	require.NoError(t, inNamespace(worldNamespace, func() error {
		listener, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		if config != nil {
			listener = tls.NewListener(listener, config)
		}
		proxy.Serve(t, listener)
		return nil
	}))
}

// dialWorld reaches servers of the world's from there. The public name server is one
// of them, and every name is the web server's.
func dialWorld(target string) (conn net.Conn, err error) {
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

const proxyAddress = otherServer + ":1080"

func TestApply_CarriesEverythingThroughAProxy(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("proxy.example", otherServer)
	w.name("inside.example", insideServers...)
	plain, secured := &sockstest.Server{}, &sockstest.Server{Username: "user", Password: "pass"}
	serveSOCKS(t, proxyAddress, nil, plain)
	certificates := w.certificates(t)
	serveSOCKS(t, otherServer+":1081", certificates, secured)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificates.Certificates[0].Certificate[0]}))
	for name, test := range map[string]struct {
		proxy *sockstest.Server
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
		require.Equal(t, []string{webServer + ":" + echoPort}, test.proxy.Took(), name)
		answer, err := guest.get("https://good.example/", "")
		require.NoError(t, err, name)
		require.Contains(t, answer, webServer)
		require.Equal(t, []string{fallbackResolver.String() + ":53", webServer + ":443"}, test.proxy.Took(), "%s: its questions too", name)
		guest.cannotReach(evilServer)
		guest.cannotReach(insideServers...)
		reply, err := guest.ask("udp", "inside.example", dns.TypeA)
		require.NoError(t, err)
		require.Empty(t, reply.Answer)
		for _, target := range test.proxy.Took() {
			require.Equal(t, fallbackResolver.String()+":53", target, name)
		}
		guest.say(GuestIP, name)
		require.NoError(t, guest.echo(webServer, patience))
		require.False(t, w.hasHeard(name), "a datagram goes nowhere")
		test.proxy.Took()
	}

	guest.apply(egress.Spec{})
	require.NoError(t, guest.echo(webServer, patience))
	require.Empty(t, plain.Took())
}

func TestApply_TellsAProxyTheNamesThatArePermitted(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	w.name("api.example", webServer)
	w.name("evil.example", evilServer)
	proxy := &sockstest.Server{}
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
	require.Equal(t, []string{"good.example:443", "api.example:80"}, proxy.Took())
}

func TestApply_FailsClosedWithoutItsProxy(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	proxy := &sockstest.Server{Username: "user", Password: "pass"}
	serveSOCKS(t, proxyAddress, nil, proxy)
	for name, spec := range map[string]egress.Upstream{
		"no server is there":       {Address: otherServer + ":1099"},
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
		require.Empty(t, proxy.Took(), name)
	}
	require.Positive(t, proxy.Refused())
}

func TestApply_EndsWhatWentByAnotherProxy(t *testing.T) {
	_, _, guest := newPlace(t)
	proxy := &sockstest.Server{}
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
	proxy := &sockstest.Server{}
	serveSOCKS(t, "10.99.0.9:1080", nil, proxy)
	guest.apply(egress.Spec{Upstream: egress.Upstream{Address: "10.99.0.9:1080"}})
	require.NoError(t, guest.echo(webServer, patience), "the operator allows it")
	require.NotEmpty(t, proxy.Took())
	guest.cannotReach("10.99.0.9")
}
