package network

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

func TestApply_GivesRequestsSecretsAsTheyAreNow(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("api.example", webServer)
	policy, err := egress.Parse(egress.Spec{Rules: map[string][]egress.Rule{
		"api.example": {{SetHeaders: map[string]string{"X-Rule": "Bearer " + placeholder.For("key")}}},
	}})
	require.NoError(t, err)
	authority, err := egress.NewAuthority()
	require.NoError(t, err)
	secrets := new(egress.Secrets)
	secrets.Set(egress.SecretValues{Values: map[string]string{"key": "one"}})
	require.NoError(t, guest.slot.Apply(t.Context(), policy.WithAuthority(authority).WithSecrets(secrets)))
	guest.roots = x509.NewCertPool()
	require.True(t, guest.roots.AppendCertsFromPEM(authority.Certificate()))
	urls := []string{"http://api.example/", "https://api.example/"}
	for _, value := range []string{"one", "two"} {
		secrets.Set(egress.SecretValues{Values: map[string]string{"key": value}})
		for _, url := range urls {
			answer, err := guest.get(url, "")
			require.NoError(t, err, url)
			require.Contains(t, answer, "rule=Bearer "+value, "what the server has seen of %s", url)
		}
	}
	answer, err := guest.get("http://other.example/", evilServer)
	require.NoError(t, err)
	require.Equal(t, evilServer+" host=other.example rule=", answer, "other servers are told nothing")
	secrets.Set(egress.SecretValues{})
	for _, url := range urls {
		_, err := guest.get(url, "")
		require.ErrorContains(t, err, egress.ErrNoSecret.Error(), url)
	}
}
