package egress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

func TestGateway_MakesATokenForEachRequestThatNeedsOne(t *testing.T) {
	w := newWorld(t, Spec{})
	made := 0
	tokens := Tokens(func(name string) (string, error) {
		made++
		return fmt.Sprintf("%s-%d", name, made), nil
	})
	secrets := new(Secrets)
	secrets.Set(held("one"))
	spec := Spec{Rules: map[string][]Rule{
		"api.example": {{SetHeaders: map[string]string{
			"X-Rule": placeholder.For("password") + " " + placeholder.ForToken("AWS") + placeholder.ForToken("AWS"),
		}}},
		"plain.example": {{SetHeaders: map[string]string{"X-Rule": "literal"}}},
	}}
	w.gateway.Update(parse(t, spec).WithAuthority(w.authority).WithSecrets(secrets).WithTokens(tokens))
	for i, name := range []string{"api", "plain", "other"} {
		address := fmt.Sprintf("203.0.113.%d", i+1)
		w.name(name+".example", address)
		w.http(address+":80", name, false)
	}
	for i, want := range []string{"one AWS-1AWS-2", "one AWS-3AWS-4"} {
		_, header := get(t, w.guest("203.0.113.1:80", nil), "http://api.example/")
		require.Equal(t, want, header.Get("X-Got-Rule"), i)
	}
	_, header := get(t, w.guest("203.0.113.2:80", nil), "http://plain.example/")
	require.Equal(t, "literal", header.Get("X-Got-Rule"))
	_, header = get(t, w.guest("203.0.113.3:80", nil), "http://other.example/")
	require.Equal(t, "other", header.Get("X-Server"))
	require.Equal(t, 4, made, "no token is made for requests to other servers")
}

func TestGateway_SendsNothingWithoutTheTokenItNeeds(t *testing.T) {
	w := newWorld(t, Spec{})
	policy := parse(t, Spec{Rules: map[string][]Rule{"api.example": {{SetHeaders: map[string]string{
		"Authorization": "Bearer " + placeholder.ForToken("aws"),
	}}}}}).WithAuthority(w.authority)
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:80", "api", false)
	client := w.guest("203.0.113.1:80", nil)
	for name, tokens := range map[string]Tokens{
		"nothing that makes tokens": nil,
		"no key":                    func(string) (string, error) { return "", errors.New("no key") },
	} {
		w.gateway.Update(policy.WithSecrets(new(Secrets)).WithTokens(tokens))
		response, err := client.Get("http://api.example/")
		require.NoError(t, err, name)
		require.Equal(t, http.StatusBadGateway, response.StatusCode, name)
		said, err := io.ReadAll(response.Body)
		require.NoError(t, errors.Join(err, response.Body.Close()))
		require.Contains(t, string(said), ErrNoToken.Error(), name)
	}
	_, dialled := w.log()
	require.Empty(t, dialled)
}
