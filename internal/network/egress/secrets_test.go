package egress

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

// withSecrets puts a policy in force whose rule for api.example needs the secrets
// "user" and "password".
func withSecrets(t *testing.T, w *world) *Secrets {
	t.Helper()
	secrets := new(Secrets)
	spec := Spec{Rules: map[string][]Rule{"api.example": {{SetHeaders: map[string]string{
		"X-Rule": placeholder.For("User") + ":" + placeholder.For("password"),
	}}}}}
	w.gateway.Update(parse(t, spec).WithAuthority(w.authority).WithSecrets(secrets))
	w.name("api.example", "203.0.113.1")
	return secrets
}

func held(password string) SecretValues {
	return SecretValues{Values: map[string]string{"user": "me", "password": password}}
}

func TestGateway_FillsInSecretsAsTheyAreNow(t *testing.T) {
	w := newWorld(t, Spec{})
	secrets := withSecrets(t, w)
	w.http("203.0.113.1:443", "api.example", true)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(w.authority.Certificate()))
	client := w.guest("203.0.113.1:443", trusted)
	secrets.Set(held("one"))
	_, header := get(t, client, "https://api.example/")
	require.Equal(t, "me:one", header.Get("X-Got-Rule"))
	secrets.Set(held(placeholder.For("user")))
	_, header = get(t, client, "https://api.example/") // on the connection that is open
	require.Equal(t, "me:${e2b.secrets.user}", header.Get("X-Got-Rule"), "what is in a value is not looked into")
}

func TestGateway_SendsNothingWithoutTheSecretsItNeeds(t *testing.T) {
	w := newWorld(t, Spec{})
	secrets := withSecrets(t, w)
	w.http("203.0.113.1:80", "api", false)
	w.http("203.0.113.9:80", "other", false)
	client := w.guest("203.0.113.1:80", nil)
	for name, values := range map[string]SecretValues{
		"none":             {},
		"one of two":       {Values: map[string]string{"user": "me"}},
		"no header at all": held("two\r\nX-Evil: lines"),
		"one too long":     held(strings.Repeat("p", maxHeaderLength)),
	} {
		secrets.Set(values)
		status, header := get(t, client, "http://api.example/")
		require.Equal(t, http.StatusBadGateway, status, name)
		require.Empty(t, header.Get("X-Server"), name)
	}
	_, dialled := w.log()
	require.Empty(t, dialled)
	_, header := get(t, w.guest("203.0.113.9:80", nil), "http://other.example/")
	require.Equal(t, "other", header.Get("X-Server"), "others need no secret")
}

func TestParse_RefusesPlaceholdersThatNameNoSecret(t *testing.T) {
	for _, value := range []string{"${e2b.secrets.}", "Bearer ${e2b.secrets.a b}", "${e2b.secrets.key"} {
		_, err := Parse(Spec{Rules: map[string][]Rule{"api.example": {{SetHeaders: map[string]string{"X-Rule": value}}}}})
		var wrong *SpecError
		require.ErrorAs(t, err, &wrong, value)
		require.ErrorIs(t, err, placeholder.ErrMalformed)
		require.Equal(t, "X-Rule", wrong.Value, "not the header's value")
	}
}
