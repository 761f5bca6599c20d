package sandbox_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func networkWithSecrets() sandbox.Network {
	return sandbox.Network{
		AllowOut: []string{"example.com"},
		Rules: map[string][]sandbox.NetworkRule{
			"example.com": {{SetHeaders: map[string]string{"Authorization": "Bearer ${e2b.secrets.Token}", "X-Key": "hush"}}, {}},
			"example.org": nil,
		},
		EgressProxy: &sandbox.EgressProxy{
			Address: "proxy:1080", Username: "u", Password: "hush",
			TLS: &sandbox.EgressProxyTLS{Enabled: true, ServerName: "proxy", CACert: "PEM"},
		},
	}
}

func TestNetwork_WithoutValuesKeepsPlaceholdersOnly(t *testing.T) {
	t.Parallel()
	network := networkWithSecrets()
	require.Equal(t, sandbox.Network{
		AllowOut: []string{"example.com"},
		Rules: map[string][]sandbox.NetworkRule{
			"example.com": {{SetHeaders: map[string]string{"Authorization": "***${e2b.secrets.Token}", "X-Key": "***"}}, {}},
			"example.org": {},
		},
		EgressProxy: &sandbox.EgressProxy{
			Address: "proxy:1080", Username: "u", TLS: &sandbox.EgressProxyTLS{Enabled: true, ServerName: "proxy"},
		},
	}, network.WithoutValues())
	require.Equal(t, networkWithSecrets(), network, "the original is left as it was")
	require.Equal(t, sandbox.Network{}, sandbox.Network{}.WithoutValues())
}

func TestNetwork_ReferencesNameEachSecretOnce(t *testing.T) {
	t.Parallel()
	names, err := networkWithSecrets().References()
	require.NoError(t, err)
	require.Equal(t, []string{"token"}, names.Secrets)
}

func TestNetwork_MapValuesEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	unknown := errors.New("unknown")
	_, err := networkWithSecrets().MapValues(func(string) (string, error) { return "", unknown })
	require.ErrorIs(t, err, unknown)
}

func TestNetwork_DeniesInternet(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	require.False(t, sandbox.Network{}.DeniesInternet())
	require.False(t, sandbox.Network{AllowInternetAccess: &yes, DenyOut: []string{"10.0.0.0/8"}}.DeniesInternet())
	require.True(t, sandbox.Network{AllowInternetAccess: &no}.DeniesInternet())
	require.True(t, sandbox.Network{DenyOut: []string{"0.0.0.0/0"}}.DeniesInternet())
}
