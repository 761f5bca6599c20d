package cpserver_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

const ruledNetwork = `{"allowOut":["example.com","1.1.1.1"],"denyOut":["0.0.0.0/0"],"maskRequestHost":"app.test:${PORT}",
	"allowPublicTraffic":true,"rules":{"api.example.com":[{"transform":{"headers":{"Authorization":"Bearer secret"}}}]}}`

// shownNetwork is what a client is told of a sandbox's network.
func (p *controlPlane) shownNetwork(t *testing.T, sandboxID string) string {
	t.Helper()
	var detail struct{ Network json.RawMessage }
	p.do(t, http.MethodGet, "/sandboxes/"+sandboxID, "").decode(t, &detail)
	return string(detail.Network)
}

func TestNetwork_GoesToTheHostWholeAndIsStoredWithoutSecrets(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","network":`+ruledNetwork+`}`)
	policy := p.agent.Network(s.SandboxID)
	require.Equal(t, []string{"example.com", "1.1.1.1"}, policy.AllowOut)
	require.Equal(t, []string{"0.0.0.0/0"}, policy.DenyOut)
	require.True(t, policy.DenyInternet)
	require.Equal(t, "app.test:${PORT}", policy.MaskRequestHost)
	require.Len(t, policy.Rules, 1)
	require.Equal(t, "api.example.com", policy.Rules[0].Domain)
	require.Equal(t, map[string]string{"Authorization": "Bearer secret"}, policy.Rules[0].SetHeaders)
	require.JSONEq(t, `{"allowOut":["example.com","1.1.1.1"],"denyOut":["0.0.0.0/0"],"maskRequestHost":"app.test:${PORT}",
		"allowPublicTraffic":true,"rules":{"api.example.com":[{"transform":{"headers":{"Authorization":"***"}}}]}}`, p.shownNetwork(t, s.SandboxID))
	var stored string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT to_jsonb(s)::text FROM sandboxes s").Scan(&stored))
	require.NotContains(t, stored, "Bearer secret")
}

func TestNetwork_IsReplacedWhileASandboxRuns(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","allow_internet_access":false,"network":`+ruledNetwork+`}`)
	path := "/sandboxes/" + s.SandboxID + "/network"
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path, `{"denyOut":["8.8.8.0/24"],"rules":{"*.b.com":[{"transform":{"headers":{"X-A":"b"}}}]}}`))
	policy := p.agent.Network(s.SandboxID)
	require.False(t, policy.DenyInternet)
	require.Empty(t, policy.AllowOut)
	require.Equal(t, []string{"8.8.8.0/24"}, policy.DenyOut)
	require.Equal(t, "*.b.com", policy.Rules[0].Domain)
	require.Equal(t, "app.test:${PORT}", policy.MaskRequestHost, "who may reach the sandbox stays")
	require.JSONEq(t, `{"denyOut":["8.8.8.0/24"],"maskRequestHost":"app.test:${PORT}","allowPublicTraffic":true,
		"rules":{"*.b.com":[{"transform":{"headers":{"X-A":"***"}}}]}}`, p.shownNetwork(t, s.SandboxID))

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path, `{"allow_internet_access":false}`))
	require.True(t, p.agent.Network(s.SandboxID).DenyInternet)
	for _, wrong := range []string{
		`{"allowOut":["10.0.0.1"]}`, `{"denyOut":["a.com"]}`, `{"egressProxy":{"address":"a"}}`, `{"egressProxy":{}}`, `{"egressProxy":{"address":"a:1","tls":{"enabled":false,"serverName":"b"}}}`, `{"rules":{"*":[]}}`, `{"allowOut":"x"}`,
		`{"rules":{"a.com":[{"transform":{"headers":{"A":"\r\n"}}}]}}`,
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPut, path, wrong))
	}
	require.True(t, p.agent.Network(s.SandboxID).DenyInternet, "what is refused changes nothing")

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", ""))
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPut, path, `{}`))
}

func TestNetwork_CarriesAnEgressProxyAndShowsNoSecretOfIt(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	authority := certificatePEM(t)
	secrets, err := json.Marshal(map[string]any{
		"address": "proxy.example.com:1080", "username": "user", "password": "hunter22",
		"tls": map[string]any{"enabled": true, "serverName": "other.example.com", "caCert": authority},
	})
	require.NoError(t, err)
	s := p.create(t, `{"templateID":"base","network":{"egressProxy":`+string(secrets)+`}}`)
	require.True(t, proto.Equal(&pb.EgressProxy{
		Address: "proxy.example.com:1080", Username: "user", Password: "hunter22", Tls: true, ServerName: "other.example.com", CaCert: authority,
	}, p.agent.Network(s.SandboxID).EgressProxy))
	const shown = `{"egressProxy":{"address":"proxy.example.com:1080","username":"user","tls":{"enabled":true,"serverName":"other.example.com"}}}`
	require.JSONEq(t, shown, p.shownNetwork(t, s.SandboxID))

	path := "/sandboxes/" + s.SandboxID + "/network"
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path, `{"egressProxy":{"address":"198.51.100.7:1080"}}`))
	require.Equal(t, "198.51.100.7:1080", p.agent.Network(s.SandboxID).EgressProxy.Address)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path, `{"denyOut":["8.8.8.8"]}`))
	require.Nil(t, p.agent.Network(s.SandboxID).EgressProxy, "left out, it is no more")
}

// certificatePEM is of an authority.
func certificatePEM(t *testing.T) string {
	t.Helper()
	authority, err := egress.NewAuthority()
	require.NoError(t, err)
	return string(authority.Certificate())
}

func TestTraffic_SeesTheHostThatTheSandboxAskedFor(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base","network":{"maskRequestHost":"app.test:${PORT}"}}`)
	var seen echo
	p.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)).decode(t, &seen)
	require.Equal(t, "app.test:8080", seen.Host)
	require.Contains(t, p.url, seen.Header.Get("X-Forwarded-Host"))
	p.send(t, http.MethodGet, "/health", "", at(s.SandboxID, agentPort)).decode(t, &seen)
	require.NotContains(t, seen.Host, "app.test", "the guest agent is not one of the sandbox's own servers")
}

func TestTraffic_TellsTheHostWhichPortsSpeakTLS(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.create(t, `{"templateID":"base","network":{"httpsPorts":[8443]}}`)
	for port, want := range map[int]string{8443: "true", 8080: "", 49983: ""} {
		var seen echo
		p.send(t, http.MethodGet, "/health", "", with(at(s.SandboxID, port), "Wrenn-Sandbox-Tls", "forged")).decode(t, &seen)
		require.Equal(t, want, seen.Header.Get("Wrenn-Sandbox-Tls"), "port %d", port)
	}
	require.JSONEq(t, `{"httpsPorts":[8443]}`, p.shownNetwork(t, s.SandboxID))
}
