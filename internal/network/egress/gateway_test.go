package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

func onlyDomains(domains ...string) Spec { return Spec{DenyInternet: true, AllowOut: domains} }

func secretRule() []Rule { return []Rule{{SetHeaders: map[string]string{"X-Rule": "secret"}}} }

func TestGateway_CarriesHTTPByHost(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example", "*.wild.example"))
	w.name("good.example", "203.0.113.1")
	w.name("a.wild.example", "203.0.113.2")
	w.http("203.0.113.1:80", "good", false)
	w.http("203.0.113.2:80", "wild", false)
	client := w.guest("203.0.113.1:80", nil)
	status, header := get(t, client, "http://good.example/a%2Fb?q=1;2")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "good", header.Get("X-Server"))
	require.Equal(t, "good.example", header.Get("X-Got-Host"))
	require.Equal(t, "/a%2Fb?q=1;2", header.Get("X-Got-Path"))
	_, header = get(t, client, "http://a.wild.example/")
	require.Equal(t, "wild", header.Get("X-Server"), "the name decides, not the address the guest dialled")
	for _, denied := range []string{"evil.example", "wild.example", "203.0.113.1", "good.example.evil.example"} {
		status, _ = get(t, client, "http://"+denied+"/")
		require.Equal(t, http.StatusForbidden, status, denied)
	}
}

func TestGateway_PassesTLSByServerName(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:443", "good.example", true)
	client := w.guest("198.51.100.66:443", w.roots)
	status, header := get(t, client, "https://good.example/")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "good.example", header.Get("X-Server"))
	getFails(t, client, "https://evil.example/")
	getFails(t, client, "https://203.0.113.1/") // an address is no server name
	_, dialled := w.log()
	require.Equal(t, []string{"203.0.113.1:443"}, dialled, "nothing else was tried")
}

func TestGateway_RefusesNamesThatResolveInside(t *testing.T) {
	w := newWorld(t, onlyDomains("rebound.example"))
	w.name("rebound.example", "127.0.0.1", "10.0.0.1", "169.254.169.254")
	status, _ := get(t, w.guest("169.254.169.254:80", nil), "http://rebound.example/")
	require.Equal(t, http.StatusBadGateway, status)
	_, dialled := w.log()
	require.Empty(t, dialled)
	require.Empty(t, w.ask("rebound.example", dns.TypeA).Answer)
}

func TestGateway_AddsHeadersThatTheGuestNeverSees(t *testing.T) {
	w := newWorld(t, Spec{Rules: map[string][]Rule{"api.example": secretRule()}})
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:80", "api", false)
	w.http("198.51.100.66:80", "evil", false)
	client := w.guest("198.51.100.66:80", nil)
	_, header := get(t, client, "http://api.example/")
	require.Equal(t, "secret", header.Get("X-Got-Rule"))
	require.Equal(t, "api", header.Get("X-Server"), "a secret goes to the name's own address only")
	_, header = get(t, client, "http://other.example/")
	require.Equal(t, "evil", header.Get("X-Server"))
	require.Empty(t, header.Get("X-Got-Rule"))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodTrace, "http://api.example/", nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

func TestGateway_RulesGrantNoAccess(t *testing.T) {
	w := newWorld(t, Spec{DenyInternet: true, Rules: map[string][]Rule{"api.example": secretRule()}})
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:80", "api", false)
	status, _ := get(t, w.guest("203.0.113.1:80", nil), "http://api.example/")
	require.Equal(t, http.StatusForbidden, status)
	_, dialled := w.log()
	require.Empty(t, dialled)
}

func TestGateway_ChangesRequestsOverTLS(t *testing.T) {
	w := newWorld(t, Spec{
		DenyInternet: true, AllowOut: []string{"api.example", "plain.example"},
		Rules: map[string][]Rule{"api.example": secretRule()},
	})
	w.name("api.example", "203.0.113.1")
	w.name("plain.example", "203.0.113.2")
	w.http("203.0.113.1:443", "api.example", true)
	w.http("203.0.113.2:443", "plain.example", true)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(w.authority.Certificate()))
	client := w.guest("203.0.113.1:443", trusted)
	status, header := get(t, client, "https://api.example/")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "secret", header.Get("X-Got-Rule"))
	getFails(t, client, "https://plain.example/") // passed through, so the guest sees the server's own certificate
	_, header = get(t, w.guest("203.0.113.2:443", w.roots), "https://plain.example/")
	require.Equal(t, "plain.example", header.Get("X-Server"))
}

func TestGateway_KeepsAnInterceptedConnectionToItsRules(t *testing.T) {
	w := newWorld(t, Spec{
		DenyInternet: true, AllowOut: []string{"api.example", "plain.example"},
		Rules: map[string][]Rule{"api.example": secretRule()},
	})
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(w.authority.Certificate()))
	client := w.guest("203.0.113.1:443", trusted)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
	require.NoError(t, err)
	request.Host = "plain.example"
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMisdirectedRequest, response.StatusCode)
}

func TestGateway_DistrustsAnImpostor(t *testing.T) {
	w := newWorld(t, Spec{Rules: map[string][]Rule{"api.example": secretRule()}})
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:443", "impostor.example", true)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(w.authority.Certificate()))
	status, header := get(t, w.guest("203.0.113.1:443", trusted), "https://api.example/")
	require.Equal(t, http.StatusBadGateway, status)
	require.Empty(t, header.Get("X-Got-Rule"))
}

func TestGateway_LetsNoConnectionBecomeHTTP2(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:80", "good", false)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://good.example/", nil)
	require.NoError(t, err)
	request.Header = http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABk"}}
	response, err := w.guest("203.0.113.1:80", nil).Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "good", response.Header.Get("X-Server"))
	require.Equal(t, "[]", response.Header.Get("X-Got-Offer"))
}

// tunnel opens a TLS connection through the gateway and proves it with a request.
func tunnel(t *testing.T, w *world) *tls.Conn {
	t.Helper()
	raw, err := new(net.Dialer).DialContext(t.Context(), "tcp4", w.door.String())
	require.NoError(t, err)
	conn := tls.Client(raw, &tls.Config{ServerName: "good.example", RootCAs: w.roots, MinVersion: tls.VersionTLS12})
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	return conn
}

func TestGateway_CutsWhatAnUpdateDenies(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:443", "good.example", true)
	w.guest("203.0.113.1:443", nil)
	conn := tunnel(t, w)
	w.gateway.Update(parse(t, onlyDomains("good.example", "more.example")))
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: good.example\r\n\r\n")
	require.NoError(t, err)
	_, err = http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "what is still allowed goes on")
	w.gateway.Update(parse(t, onlyDomains("more.example")))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, net.ErrClosed)
	w.gateway.flows.mutex.Lock()
	defer w.gateway.flows.mutex.Unlock()
	require.Empty(t, w.gateway.flows.open)
}

func TestGateway_CarriesWebSocketsUntilTheyAreDenied(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:80", "good", false)
	socket, response, err := websocket.Dial(t.Context(), "ws://good.example/socket", &websocket.DialOptions{HTTPClient: w.guest("203.0.113.1:80", nil)})
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	defer socket.CloseNow()
	for range 2 {
		require.NoError(t, socket.Write(t.Context(), websocket.MessageText, []byte("hello")))
		_, said, err := socket.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "hello", string(said))
		w.gateway.Update(parse(t, onlyDomains("good.example", "more.example")))
	}
	w.gateway.Update(parse(t, onlyDomains("more.example")))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, _, err = socket.Read(ctx)
	require.Error(t, err)
	require.NoError(t, ctx.Err())
}

func TestGateway_CutsWhatIsDeniedWhileItConnects(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:443", "good.example", true)
	w.onDial = func() { w.gateway.Update(parse(t, Spec{DenyInternet: true, AllowOut: []string{"more.example"}})) }
	getFails(t, w.guest("203.0.113.1:443", w.roots), "https://good.example/")
	_, dialled := w.log()
	require.Len(t, dialled, 1)
}

func TestGateway_CloseEndsEverything(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:443", "good.example", true)
	w.guest("203.0.113.1:443", nil)
	conn := tunnel(t, w)
	w.gateway.Close()
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = new(net.Dialer).DialContext(t.Context(), "tcp4", w.door.String())
	require.Error(t, err)
}

func TestNameServer_AsksOnlyForWhatIsAllowed(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example", "*.wild.example"))
	w.name("good.example", "203.0.113.1", "10.0.0.1")
	w.name("evil.example", "203.0.113.2")
	reply := w.ask("GOOD.example", dns.TypeA)
	require.Empty(t, reply.Answer, "the fake is case-sensitive")
	reply = w.ask("good.example", dns.TypeA)
	require.Len(t, reply.Answer, 1, "the private address is left out")
	require.Equal(t, dns.RcodeSuccess, w.ask("good.example", dns.TypeAAAA).Rcode)
	require.Equal(t, dns.RcodeNameError, w.ask("evil.example", dns.TypeA).Rcode)
	require.Equal(t, dns.RcodeNameError, w.ask("secret-in-a-question.evil.example", dns.TypeTXT).Rcode)
	require.Equal(t, dns.RcodeNotImplemented, w.ask("good.example", dns.TypeANY).Rcode)
	asked, _ := w.log()
	require.Equal(t, []string{"GOOD.example.", "good.example."}, asked)
}

func TestNameServer_PinsWhatItAnswered(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:80", "first", false)
	w.http("203.0.113.2:80", "second", false)
	require.Len(t, w.ask("good.example", dns.TypeA).Answer, 1)
	w.name("good.example", "203.0.113.2")
	_, header := get(t, w.guest("203.0.113.2:80", nil), "http://good.example/")
	require.Equal(t, "first", header.Get("X-Server"))
	asked, _ := w.log()
	require.Len(t, asked, 1)
}
