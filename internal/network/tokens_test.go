package network

import (
	"crypto"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func TestApply_GivesRequestsIdentityTokensThatVerify(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("api.example", webServer)
	policy, err := egress.Parse(egress.Spec{Rules: map[string][]egress.Rule{
		"api.example": {{SetHeaders: map[string]string{"X-Rule": "Bearer " + placeholder.ForToken("aws")}}},
	}})
	require.NoError(t, err)
	authority, err := egress.NewAuthority()
	require.NoError(t, err)
	signer := new(workload.Signer)
	identity := workload.Identity{TeamID: "team", TemplateID: "template", Tokens: workload.Tokens{
		"aws": {Audience: "sts.amazonaws.com", TokenType: workload.TypeJWTSVID},
	}}
	tokens := func(name string) (string, error) { return signer.Sign("sandbox", identity, name, time.Now()) }
	require.NoError(t, guest.slot.Apply(t.Context(), policy.WithAuthority(authority).WithTokens(tokens)))
	guest.roots = x509.NewCertPool()
	require.True(t, guest.roots.AppendCertsFromPEM(authority.Certificate()))
	_, err = guest.get("https://api.example/", "")
	require.ErrorContains(t, err, egress.ErrNoToken.Error(), "there is no key yet")

	const issuer = "https://wrenn.example.org"
	key, err := workload.NewKey(issuer, time.Now().Add(time.Hour))
	require.NoError(t, err)
	signer.Set(key)
	public, err := key.Public()
	require.NoError(t, err)
	published, err := x509.ParsePKIXPublicKey(public)
	require.NoError(t, err)
	verifier := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{published}},
		&oidc.Config{ClientID: "sts.amazonaws.com", SupportedSigningAlgs: []string{oidc.ES256}})
	seen := map[string]bool{}
	for range 2 {
		answer, err := guest.get("https://api.example/", "")
		require.NoError(t, err)
		_, shown, found := strings.Cut(answer, "rule=Bearer ")
		require.True(t, found, answer)
		token, _, _ := strings.Cut(shown, " ")
		verified, err := verifier.Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, "spiffe://wrenn.example.org/team/team/sandbox/sandbox", verified.Subject)
		seen[token] = true
	}
	require.Len(t, seen, 2, "each request has one of its own")
	answer, err := guest.get("http://other.example/", evilServer)
	require.NoError(t, err)
	require.Equal(t, evilServer+" host=other.example rule=", answer, "other servers are told nothing")
}
