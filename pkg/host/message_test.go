package host

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func TestStates_AreAllOfTheProtocol(t *testing.T) {
	t.Parallel()
	for number, name := range pb.SandboxState_name {
		state := pb.SandboxState(number)
		if state == pb.SandboxState_SANDBOX_STATE_UNSPECIFIED || strings.HasSuffix(name, "_UPDATING") {
			continue
		}
		require.NotEmpty(t, states[state], name)
	}
}

func TestToCreation_SendsWhatTheHostNeeds(t *testing.T) {
	t.Parallel()
	no := false
	team, build := uuid.New(), uuid.New()
	request := toCreation(Creation{
		Sandbox: sandbox.Sandbox{
			ID: "isandbox", TeamID: team, BuildID: build, TemplateID: "base",
			Network: sandbox.Network{
				AllowInternetAccess: &no, AllowOut: []string{"example.com"}, DenyOut: []string{"10.0.0.0/8"}, MaskRequestHost: "local",
				Rules: map[string][]sandbox.NetworkRule{"example.com": {{SetHeaders: map[string]string{"X-Key": "value"}}}, "example.org": nil},
				EgressProxy: &sandbox.EgressProxy{
					Address: "proxy:1080", Username: "u", Password: "p",
					TLS: &sandbox.EgressProxyTLS{Enabled: true, ServerName: "proxy", CACert: "PEM"},
				},
			},
			VolumeMounts:   []sandbox.VolumeMount{{VolumeID: "v1", Name: "data", Path: "/data"}},
			IdentityTokens: workload.Tokens{"cloud": {Audience: "a", TokenType: workload.TypeJWTSVID}},
		},
		EnvVars: map[string]string{"A": "b"},
		Secrets: sandbox.Secrets{Values: map[string]string{"key": "value"}, Revision: "1"},
	})
	require.Equal(t, "isandbox", request.SandboxId)
	require.Equal(t, "isandbox", request.RequestId)
	require.Equal(t, build.String(), request.BuildId)
	require.Equal(t, map[string]string{"A": "b"}, request.Identity.EnvVars)
	require.NotEmpty(t, request.Identity.LifecycleId)
	require.True(t, request.Network.DenyInternet)
	require.Equal(t, []string{"example.com"}, request.Network.AllowOut)
	require.Equal(t, []string{"10.0.0.0/8"}, request.Network.DenyOut)
	require.Equal(t, "local", request.Network.MaskRequestHost)
	headers := map[string]map[string]string{}
	for _, rule := range request.Network.Rules {
		headers[rule.Domain] = rule.SetHeaders
	}
	require.Equal(t, map[string]map[string]string{"example.com": {"X-Key": "value"}, "example.org": nil}, headers)
	proxy := request.Network.EgressProxy
	require.Equal(t, []string{"proxy:1080", "u", "p", "proxy", "PEM"}, []string{proxy.Address, proxy.Username, proxy.Password, proxy.ServerName, proxy.CaCert})
	require.True(t, proxy.Tls)
	require.Equal(t, "v1", request.VolumeMounts[0].VolumeId)
	require.Equal(t, "/data", request.VolumeMounts[0].Path)
	require.Equal(t, team.String(), request.WorkloadIdentity.TeamId)
	require.Equal(t, "base", request.WorkloadIdentity.TemplateId)
	require.Equal(t, "a", request.WorkloadIdentity.Tokens["cloud"].Audience)
	require.Equal(t, map[string]string{"key": "value"}, request.Secrets.Values)
}
