package cpserver_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
)

// echoGuest answers what a guest and its host agent see of a request.
var echoGuest = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"sandbox": r.Header.Values(forward.SandboxHeader), "port": r.Header.Get(forward.PortHeader),
		"host": r.Host, "uri": r.RequestURI, "method": r.Method, "header": r.Header,
	})
})

type echo struct {
	Sandbox                 []string
	Port, Host, URI, Method string
	Header                  http.Header
}

func startWithGuest(t *testing.T, guest http.Handler) *controlPlane {
	t.Helper()
	p := setUp(t, guest)
	p.start(t)
	return p
}

// agentPort is the port of the guest agent, which clients rely on.
const agentPort = 49983

func at(sandboxID string, port int) http.Header {
	return http.Header{"E2b-Sandbox-Id": {sandboxID}, "E2b-Sandbox-Port": {strconv.Itoa(port)}}
}

func with(header http.Header, name, value string) http.Header {
	header = header.Clone()
	header.Set(name, value)
	return header
}

func TestTraffic_IsRoutedByHostNameAndByHeaders(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base"}`)
	byName := fmt.Sprintf("8080-%s.localhost:3000", s.SandboxID)
	forged := http.Header{"Wrenn-Sandbox-Id": {"iforged"}, "Wrenn-Sandbox-Port": {"1"}, "Wrenn-Other": {"x"}}
	for name, header := range map[string]http.Header{
		"host name":                {"Host": {byName}},
		"headers":                  at(s.SandboxID, 8080),
		"host name before headers": with(at("i0123456789abcdefghi", 1), "Host", byName),
	} {
		for forgedName := range forged {
			header.Set(forgedName, forged.Get(forgedName))
		}
		got := p.send(t, http.MethodPut, "/a%2Fb?q=1", "body", header)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.body)
		var seen echo
		got.decode(t, &seen)
		require.Equal(t, []string{s.SandboxID}, seen.Sandbox, name)
		require.Equal(t, "8080", seen.Port, name)
		require.Equal(t, "/a%2Fb?q=1", seen.URI, name)
		require.Equal(t, http.MethodPut, seen.Method, name)
		require.Empty(t, seen.Header.Get("Wrenn-Other"), name)
		require.Equal(t, "127.0.0.1", seen.Header.Get("X-Forwarded-For"), name)
	}
	got := p.send(t, http.MethodGet, "/envs", "", with(forged, "X-Api-Key", p.key))
	requireStatus(t, http.StatusNotFound, got)
}

func TestTraffic_ToASandboxThatDoesNotRunIsABadGateway(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	paused := p.create(t, `{"templateID":"base"}`)
	killed := p.create(t, `{"templateID":"base"}`)
	require.Equal(t, http.StatusOK, p.send(t, http.MethodGet, "/health", "", at(paused.SandboxID, agentPort)).status)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+paused.SandboxID+"/pause", ""))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/sandboxes/"+killed.SandboxID, ""))
	for _, id := range []string{paused.SandboxID, killed.SandboxID, "i0123456789abcdefghi"} {
		got := p.send(t, http.MethodGet, "/health", "", at(id, agentPort))
		requireStatus(t, http.StatusBadGateway, got)
		var failure forward.Failure
		got.decode(t, &failure)
		require.Equal(t, id, failure.SandboxID)
	}
	for _, header := range []http.Header{
		{"E2b-Sandbox-Id": {"../etc"}},
		{"E2b-Sandbox-Id": {killed.SandboxID}, "E2b-Sandbox-Port": {"0"}},
		{"E2b-Sandbox-Id": {killed.SandboxID}, "E2b-Sandbox-Port": {"65536"}},
		{"E2b-Sandbox-Id": {killed.SandboxID}, "E2b-Sandbox-Port": {"http"}},
		{"Host": {"99999-" + killed.SandboxID + ".localhost"}},
	} {
		requireStatus(t, http.StatusBadRequest, p.send(t, http.MethodGet, "/", "", header))
	}
}

func TestTraffic_ToTheGuestAgentNeedsItsToken(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base"}`)
	other := p.create(t, `{"templateID":"base"}`)
	anonymous := at(s.SandboxID, agentPort)
	trusted := with(anonymous, "X-Access-Token", s.EnvdAccessToken)
	for _, path := range []string{"/files?path=/x", "/envs", "/metrics", "/process.Process/List", "/", "/health/x", "/files/compose?signature=v1_x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			requireStatus(t, http.StatusUnauthorized, p.send(t, method, path, "", anonymous.Clone()))
			requireStatus(t, http.StatusUnauthorized, p.send(t, method, path, "", with(anonymous, "X-Access-Token", other.EnvdAccessToken)))
			requireStatus(t, http.StatusUnauthorized, p.send(t, method, path, "", with(anonymous, "X-Access-Token", p.key)))
			requireStatus(t, http.StatusOK, p.send(t, method, path, "", trusted.Clone()))
		}
	}
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodOptions, "/envs", "", anonymous.Clone()))
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodPost, "/health", "", anonymous.Clone()))

	requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/health", "", anonymous.Clone()))
	preflight := with(with(anonymous, "Origin", "https://example.com"), "Access-Control-Request-Method", "POST")
	requireStatus(t, http.StatusOK, p.send(t, http.MethodOptions, "/process.Process/List", "", preflight))
}

func TestTraffic_NeverReachesTheHostsRoutes(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base"}`)
	trusted := with(at(s.SandboxID, agentPort), "X-Access-Token", s.EnvdAccessToken)
	for _, path := range []string{
		"/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/snapshot/prepare",
		"//init", "/./init", "/x/../init", "/init/", "/%69nit", "/INIT", "/snapshot//prepare", "/snapshot%2Fprepare",
		"/init?signature=v1_x", "/files/../init?signature=v1_x", "/%2e%2e/init", "/init%2f", `/x\..\..\init`,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			requireStatus(t, http.StatusForbidden, p.send(t, method, path, "", trusted.Clone()))
		}
	}
	requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/init", "", at(s.SandboxID, 8080)))
}

func TestTraffic_ToPortsThatAreNotPublicNeedsATrafficToken(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base","network":{"allowPublicTraffic":false}}`)
	require.NotNil(t, s.TrafficAccessToken)
	header := at(s.SandboxID, 8080)
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodGet, "/", "", header.Clone()))
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodGet, "/", "", with(header, "e2b-traffic-access-token", s.EnvdAccessToken)))
	got := p.send(t, http.MethodGet, "/", "", with(header, "e2b-traffic-access-token", *s.TrafficAccessToken))
	requireStatus(t, http.StatusOK, got)
	var seen echo
	got.decode(t, &seen)
	require.Empty(t, seen.Header.Get("E2b-Traffic-Access-Token"), "the guest need not know it")
}

// signed is the URL of the file /a with a signature in the token's stead.
func signed(token, operation, expiration string) string {
	const path = "/a"
	parts, query := path+":"+operation+"::"+token, url.Values{"path": {path}}
	if expiration != "" {
		parts += ":" + expiration
		query.Set("signature_expiration", expiration)
	}
	sum := sha256.Sum256([]byte(parts))
	query.Set("signature", "v1_"+base64.RawStdEncoding.EncodeToString(sum[:]))
	return "/files?" + query.Encode()
}

func TestTraffic_ToASignedURLIsVerifiedAtTheEdge(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base"}`)
	other := p.create(t, `{"templateID":"base"}`)
	agent := at(s.SandboxID, agentPort)
	token := s.EnvdAccessToken
	for name, test := range map[string]struct {
		method, path, want string
	}{
		"read":                  {http.MethodGet, signed(token, "read", ""), ""},
		"read until later":      {http.MethodGet, signed(token, "read", "99999999999"), ""},
		"write":                 {http.MethodPost, signed(token, "write", ""), ""},
		"expired":               {http.MethodGet, signed(token, "read", "1"), "signature is already expired"},
		"write for read":        {http.MethodPost, signed(token, "read", ""), "invalid signature"},
		"another's token":       {http.MethodGet, signed(other.EnvdAccessToken, "read", ""), "invalid signature"},
		"made up":               {http.MethodGet, "/files?path=/a&signature=v1_x", "invalid signature"},
		"another path in front": {http.MethodGet, strings.Replace(signed(token, "read", ""), "?", "?path=/etc/shadow&", 1), "invalid signature"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.send(t, test.method, test.path, "", agent.Clone())
			if test.want != "" {
				requireStatus(t, http.StatusUnauthorized, got)
				require.Contains(t, string(got.body), test.want)
				return
			}
			requireStatus(t, http.StatusOK, got)
			var seen echo
			got.decode(t, &seen)
			require.Equal(t, "/files?path=%2Fa", seen.URI, "the signature ends at the edge")
		})
	}
	wrong := with(agent, "X-Access-Token", other.EnvdAccessToken)
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodGet, signed(token, "read", ""), "", wrong))
}

// TestTraffic_CarriesNoCredentialOfTheSandbox sends a sandbox's credentials
// wherever a client may put them, and looks at all that its host and guest get.
func TestTraffic_CarriesNoCredentialOfTheSandbox(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base","network":{"allowPublicTraffic":false}}`)
	token, traffic := s.EnvdAccessToken, *s.TrafficAccessToken
	read := signed(token, "read", "")
	_, signature, _ := strings.Cut(read, "signature=")
	for name, test := range map[string]struct {
		port   int
		path   string
		header http.Header
		want   string
	}{
		"agent, by token":     {agentPort, "/envs?a=%20b", nil, "/envs?a=%20b"},
		"agent, by signature": {agentPort, read, http.Header{"X-Access-Token": nil, "Referer": {"http://x" + read}}, "/files?path=%2Fa"},
		"port":                {8080, "/x?a=1&b=%zz;&c=2", nil, "/x?a=1&b=%zz;&c=2"},
		"port, signature":     {8080, read + "&d=4", nil, "/files?path=%2Fa&d=4"},
		"port, its own":       {8080, "/x?signature=s&path=/a", nil, "/x?signature=s&path=/a"},
		"port, referer":       {8080, "/", http.Header{"Referer": {"http://x" + read}}, "/"},
		"port, odd places": {8080, "/?a=" + token + "&b=x%2F" + traffic + "&c=3", http.Header{
			"Authorization": {"Bearer " + token}, "Cookie": {"a=b; token=" + traffic}, "X-Other": {token},
		}, "/?c=3"},
		"port, basic": {8080, "/", http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+token))}}, "/"},
	} {
		t.Run(name, func(t *testing.T) {
			header := with(with(at(s.SandboxID, test.port), "X-Access-Token", token), "E2b-Traffic-Access-Token", traffic)
			for name, values := range test.header {
				header[name] = values
			}
			got := p.send(t, http.MethodGet, test.path, "", header)
			requireStatus(t, http.StatusOK, got)
			for _, secret := range []string{token, traffic, signature, base64.StdEncoding.EncodeToString([]byte("user:" + token))} {
				require.NotContains(t, string(got.body), secret)
			}
			var seen echo
			got.decode(t, &seen)
			require.Equal(t, test.want, seen.URI)
		})
	}
}

func TestTraffic_StreamsAndUpgradesThroughTheControlPlane(t *testing.T) {
	t.Parallel()
	lines := make(chan string)
	p := startWithGuest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/socket" {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow()
			kind, message, err := conn.Read(r.Context())
			if err == nil {
				_ = conn.Write(r.Context(), kind, message)
			}
			return
		}
		for line := range lines {
			fmt.Fprintln(w, line)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	s := p.create(t, `{"templateID":"base"}`)
	t.Run("stream", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url, nil)
		require.NoError(t, err)
		request.Header = at(s.SandboxID, 8080)
		go func() { lines <- "first" }()
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		require.True(t, scanner.Scan())
		require.Equal(t, "first", scanner.Text())
		close(lines)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
	})
	t.Run("websocket", func(t *testing.T) {
		conn, _, err := websocket.Dial(t.Context(), p.url+"/socket", &websocket.DialOptions{HTTPHeader: at(s.SandboxID, 8080)})
		require.NoError(t, err)
		defer conn.CloseNow()
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
		_, message, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "hello", string(message))
	})
}

func TestTraffic_SaysWhenTheHostIsAway(t *testing.T) {
	t.Parallel()
	p := setUp(t, echoGuest)
	p.config.HostTrafficSocket += ".nobody"
	p.start(t)
	s := p.create(t, `{"templateID":"base"}`)
	requireStatus(t, http.StatusServiceUnavailable, p.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)))
}
