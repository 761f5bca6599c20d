package cpserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
)

func TestTraffic_UnderstandsEveryFormOfASandboxsName(t *testing.T) {
	t.Parallel()
	p := setUp(t, echoGuest)
	p.config.Domain = "Sandboxes.Example.org:8443"
	p.start(t)
	s := p.create(t, `{"templateID":"base"}`)
	loud := strings.ToUpper(s.SandboxID)
	for _, header := range []http.Header{
		{"Host": {"8080-" + s.SandboxID + ".sandboxes.example.org"}},
		{"Host": {"8080-" + s.SandboxID + ".sandboxes.example.org:1"}},
		{"Host": {"8080-" + loud + ".SANDBOXES.example.ORG:8443"}},
		{"Host": {"8080-" + s.SandboxID + ".sandboxes.example.org."}},
		{"Host": {"8080-" + s.SandboxID + "-wrenn.sandboxes.example.org"}},
		{"Host": {"8080-" + s.SandboxID + "-6532622b.localhost:3000"}},
		{"Host": {"8080-" + s.SandboxID + ".localhost"}},
		{"E2b-Sandbox-Id": {s.SandboxID + "-wrenn"}, "E2b-Sandbox-Port": {"8080"}},
		{"E2b-Sandbox-Id": {loud}, "E2b-Sandbox-Port": {"8080"}},
	} {
		got := p.send(t, http.MethodGet, "/", "", header)
		require.Equal(t, http.StatusOK, got.status, "%v: %s", header, got.body)
		var seen echo
		got.decode(t, &seen)
		require.Equal(t, []string{s.SandboxID}, seen.Sandbox)
		require.Equal(t, "8080", seen.Port)
	}
	// A name under no domain of ours is not a sandbox's: the control API answers.
	for _, host := range []string{
		"8080-" + s.SandboxID + ".example.org", "8080-" + s.SandboxID + ".evil.com", "8080-" + s.SandboxID,
		"8080-" + s.SandboxID + ".sandboxes.example.org.evil.com", "8080-" + s.SandboxID + ".x.sandboxes.example.org",
		"sandboxes.example.org", "api.sandboxes.example.org", s.SandboxID + ".localhost",
	} {
		requireStatus(t, http.StatusNoContent, p.send(t, http.MethodGet, "/health", "", http.Header{"Host": {host}}))
	}
}

func TestTraffic_ToANameThatNoSandboxHasIsABadGateway(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, label := range []string{
		"8080-i0123456789abcdefghi", "49983-i0123456789abcdefghi-wrenn", "8080-short", "8080-I_strange~one", "1-" + strings.Repeat("i", 61),
	} {
		got := p.send(t, http.MethodGet, "/health", "", http.Header{"Host": {label + ".localhost:3000"}})
		requireStatus(t, http.StatusBadGateway, got)
		require.Contains(t, string(got.body), "The sandbox was not found")
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	}
	for _, port := range []string{"0", "65536", "99999", "1234567890"} {
		requireStatus(t, http.StatusBadRequest, p.send(t, http.MethodGet, "/", "", http.Header{"Host": {port + "-i0123456789abcdefghi.localhost"}}))
	}
}

func TestTraffic_TellsBrowsersWhatIsWrongByAPage(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		port, _ := strconv.Atoi(r.Header.Get(forward.PortHeader))
		forward.WriteError(w, r, http.StatusBadGateway, r.Header.Get(forward.SandboxHeader), uint16(port), "<script>of the host's</script>")
	}))
	running := p.create(t, `{"templateID":"base"}`)
	private := p.create(t, `{"templateID":"base","network":{"allowPublicTraffic":false}}`)
	stopped := p.create(t, `{"templateID":"base"}`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+stopped.SandboxID+"/pause", ""))
	for name, asked := range map[string]struct {
		host   string
		status int
		says   string
	}{
		"unknown": {"8080-i0123456789abcdefghi.localhost", http.StatusBadGateway, "The sandbox was not found"},
		"paused":  {"8080-" + stopped.SandboxID + ".localhost", http.StatusBadGateway, "Resume it"},
		"private": {"8080-" + private.SandboxID + ".localhost", http.StatusForbidden, "traffic access token"},
		"agent":   {"49983-" + running.SandboxID + ".localhost", http.StatusUnauthorized, "access token"},
		"port":    {"0-" + running.SandboxID + ".localhost", http.StatusBadRequest, "from 1 to 65535"},
		"host":    {"8080-" + running.SandboxID + ".localhost", http.StatusBadGateway, "&lt;script&gt;of the host"},
	} {
		for accept, isPage := range map[string]bool{
			"text/html,application/xhtml+xml,*/*;q=0.8": true, "application/json, text/html;q=0.5": true,
			"*/*": false, "application/json": false, "text/html;q=0": false, "": false,
		} {
			got := p.send(t, http.MethodGet, "/", "", http.Header{"Host": {asked.host}, "Accept": {accept}})
			require.Equal(t, asked.status, got.status, name)
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
			if !isPage {
				requireStatus(t, asked.status, got)
				continue
			}
			require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"), name)
			_, style, _ := strings.Cut(string(got.body), "<style>")
			style, _, _ = strings.Cut(style, "</style>")
			sum := sha256.Sum256([]byte(style))
			policy := got.header.Get("Content-Security-Policy")
			require.Contains(t, policy, "default-src 'none'")
			require.Contains(t, policy, base64.StdEncoding.EncodeToString(sum[:]), "the page's own style is allowed")
			require.Contains(t, string(got.body), asked.says, name)
			require.NotContains(t, string(got.body), "<script", name)
		}
	}
}

func TestSandboxes_AreFoundByIDsOfOlderClients(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	for _, name := range []string{s.SandboxID + "-wrenn", strings.ToUpper(s.SandboxID), s.SandboxID + "-6532622b"} {
		requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/sandboxes/"+name, ""))
		requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+name+"/timeout", `{"timeout":60}`))
		requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, "/v2/sandboxes/"+name+"/connect", `{"timeout":60}`))
		requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/sandboxes/metrics?sandbox_ids="+name, ""))
		requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/v2/sandboxes/"+name+"/logs", ""))
		requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/snapshots?sandboxID="+name, ""))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/sandboxes/"+s.SandboxID+"-wrenn", ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/sandboxes/"+s.SandboxID+"-wrenn", ""))
}

func TestTraffic_FromPagesOfOtherOriginsLearnsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	stopped := p.create(t, `{"templateID":"base"}`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+stopped.SandboxID+"/pause", ""))
	asks := http.Header{
		"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"POST"},
		"Access-Control-Request-Headers": {"content-type,e2b-sandbox-id,e2b-sandbox-port,x-access-token"},
	}
	for _, host := range []string{"49983-" + stopped.SandboxID + ".localhost", "49983-i0123456789abcdefghi.localhost", "localhost:3000"} {
		preflight := p.send(t, http.MethodOptions, "/process.Process/Start", "", with(asks, "Host", host))
		require.Equal(t, http.StatusNoContent, preflight.status, host)
		require.Equal(t, "*", preflight.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, asks.Get("Access-Control-Request-Headers"), preflight.header.Get("Access-Control-Allow-Headers"))
	}
	refused := with(at(stopped.SandboxID, agentPort), "Origin", "https://app.example.com")
	got := p.send(t, http.MethodPost, "/process.Process/Start", "", refused)
	requireStatus(t, http.StatusBadGateway, got)
	require.Equal(t, "*", got.header.Get("Access-Control-Allow-Origin"))
}
