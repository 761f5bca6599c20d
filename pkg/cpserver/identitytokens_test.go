package cpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"
)

// awsIdentity asks for one token, and a rule that puts it into requests.
const (
	awsIdentity    = `"iam":{"tokens":{"aws":{"audience":"sts.amazonaws.com","tokenType":"JWT-SVID"}}}`
	awsNetwork     = `{"rules":{"api.example.com":[{"transform":{"headers":{"Authorization":"Bearer ${e2b.identity.tokens.aws}"}}}]}}`
	awsIdentityAll = `{"templateID":"base",` + awsIdentity + `,"network":` + awsNetwork + `}`
)

// public makes a control plane's public address the one where tests reach it.
func (p *controlPlane) public(ctx context.Context) context.Context {
	transport := roundTrip(func(request *http.Request) (*http.Response, error) {
		elsewhere := request.Clone(request.Context())
		elsewhere.URL.Scheme, elsewhere.URL.Host = "http", strings.TrimPrefix(p.url, "http://")
		return http.DefaultTransport.RoundTrip(elsewhere)
	})
	return oidc.ClientContext(ctx, &http.Client{Transport: transport})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// verify does what a service does that trusts the issuer, from its address on.
func (p *controlPlane) verify(t *testing.T, issuer, audience, token string) (*oidc.IDToken, error) {
	t.Helper()
	ctx := p.public(t.Context())
	provider, err := oidc.NewProvider(ctx, issuer)
	require.NoError(t, err)
	return provider.VerifierContext(ctx, &oidc.Config{ClientID: audience}).Verify(ctx, token)
}

// keys are the IDs of what is published, newest first.
func (p *controlPlane) keys(t *testing.T) []string {
	t.Helper()
	published := p.send(t, http.MethodGet, "/.well-known/jwks.json", "", http.Header{})
	requireStatus(t, http.StatusOK, published)
	require.NotContains(t, string(published.body), `"d"`, "public keys only")
	require.Contains(t, published.header.Get("Cache-Control"), "public, max-age=")
	var set struct{ Keys []struct{ Kid string } }
	published.decode(t, &set)
	ids := []string{}
	for _, key := range set.Keys {
		ids = append(ids, key.Kid)
	}
	return ids
}

func TestIdentityTokens_AreVerifiedByWhatTheServerPublishes(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.config.Identity.PublicURL = "https://Wrenn.example.org:8443/"
	p.start(t)
	const issuer = "https://Wrenn.example.org:8443"
	s := p.create(t, awsIdentityAll)
	require.Equal(t, "Bearer ${e2b.identity.tokens.aws}", p.agent.Network(s.SandboxID).Rules[0].SetHeaders["Authorization"])
	require.Contains(t, p.shownNetwork(t, s.SandboxID), `"***${e2b.identity.tokens.aws}"`)

	token, err := p.agent.Sign(s.SandboxID, "aws")
	require.NoError(t, err)
	verified, err := p.verify(t, issuer, "sts.amazonaws.com", token)
	require.NoError(t, err)
	var team string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE slug = 'default'").Scan(&team))
	require.Equal(t, "spiffe://wrenn.example.org/team/"+team+"/sandbox/"+s.SandboxID, verified.Subject)
	var claims map[string]any
	require.NoError(t, verified.Claims(&claims))
	require.Equal(t, team, claims["team_id"])
	require.Equal(t, s.SandboxID, claims["sandbox_id"])
	require.Equal(t, s.TemplateID, claims["template_id"])
	_, err = p.verify(t, issuer, "another service", token)
	require.Error(t, err)
	flipped := token[:len(token)-8] + strings.Map(func(r rune) rune { return map[bool]rune{true: 'B', false: 'A'}[r == 'A'] }, token[len(token)-8:])
	_, err = p.verify(t, issuer, "sts.amazonaws.com", flipped)
	require.Error(t, err)
	plain := p.create(t, `{"templateID":"base"}`)
	require.Nil(t, p.agent.Creation(plain.SandboxID).WorkloadIdentity)
	_, err = p.agent.Sign(plain.SandboxID, "aws")
	require.Error(t, err, "a sandbox that asked for no token has none")
}

func TestIdentityTokens_AreRefusedWhereTheyAreMalformedOrUnknown(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	many := map[string]any{}
	for _, name := range strings.Split("abcdefghijklmnopqrstu", "") {
		many[name] = map[string]string{"audience": "x", "tokenType": "JWT-SVID"}
	}
	tooMany, err := json.Marshal(many)
	require.NoError(t, err)
	for _, tokens := range []string{
		`{"a":{"audience":"x","tokenType":"JWT"}}`, `{"a":{"audience":"x"}}`, `{"a":{"audience":"","tokenType":"JWT-SVID"}}`,
		`{"":{"audience":"x","tokenType":"JWT-SVID"}}`, `{"a}":{"audience":"x","tokenType":"JWT-SVID"}}`, `{"a\u0001":{"audience":"x","tokenType":"JWT-SVID"}}`,
		`{"a":{"audience":"` + strings.Repeat("x", 513) + `","tokenType":"JWT-SVID"}}`, string(tooMany), `[]`, `{"a":"x"}`,
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","iam":{"tokens":`+tokens+`}}`))
	}
	for _, none := range []string{`null`, `{}`, `{"tokens":{}}`, `{"tokens":null}`} {
		requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","iam":`+none+`}`))
	}
	refused := p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","network":`+awsNetwork+`}`)
	requireStatus(t, http.StatusBadRequest, refused)
	require.Contains(t, string(refused.body), "network.rules")

	s := p.create(t, `{"templateID":"base",`+awsIdentity+`}`)
	path := "/sandboxes/" + s.SandboxID + "/network"
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path, awsNetwork))
	for _, wrong := range []string{"${e2b.identity.tokens.AWS}", "${e2b.identity.tokens.gcp}", "${e2b.identity.tokens.}", "${e2b.identity.aws}"} {
		refused := p.do(t, http.MethodPut, path, strings.ReplaceAll(awsNetwork, "${e2b.identity.tokens.aws}", wrong))
		requireStatus(t, http.StatusBadRequest, refused)
		require.Contains(t, string(refused.body), "network.rules", wrong)
	}
}

func TestIdentityTokens_OfForksAndSnapshotsAreTheirOwn(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, awsIdentityAll)
	path := "/sandboxes/" + s.SandboxID
	var forks []struct{ Sandbox sandbox }
	p.do(t, http.MethodPost, path+"/fork", `{}`).decode(t, &forks)
	require.Len(t, forks, 1)
	fork := "/sandboxes/" + forks[0].Sandbox.SandboxID
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, fork+"/network", awsNetwork))

	taken := p.do(t, http.MethodPost, path+"/snapshots", `{}`)
	requireStatus(t, http.StatusCreated, taken)
	var snapshot struct{ SnapshotID string }
	taken.decode(t, &snapshot)
	other := p.create(t, `{"templateID":"`+snapshot.SnapshotID+`"}`)
	require.Nil(t, p.agent.Creation(other.SandboxID).WorkloadIdentity, "who creates from a snapshot is not its source")
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPut, "/sandboxes/"+other.SandboxID+"/network", awsNetwork))
}

func TestSigningKeys_ArePublishedBeforeTheyAreUsedAndReplacedInTime(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	var given atomic.Int32
	p.agent.Before(func(ctx context.Context, operation, _ string) error {
		if operation != "set signing key" {
			return nil
		}
		var published int32
		if err := p.pool.QueryRow(ctx, "SELECT count(*) FROM identity_keys WHERE expires_at > now() + '1 day'").Scan(&published); err != nil {
			return err
		}
		if given.Add(1) != published {
			return errors.New("the key is not there to be read yet")
		}
		return nil
	})
	p.start(t)
	first := p.agent.SigningKeyID()
	require.NotEmpty(t, first)
	require.Equal(t, []string{first}, p.keys(t))
	p.agent.Before(nil)

	s := p.create(t, awsIdentityAll)
	old, err := p.agent.Sign(s.SandboxID, "aws")
	require.NoError(t, err)
	_, err = p.pool.Exec(t.Context(), "UPDATE identity_keys SET retires_at = now()")
	require.NoError(t, err)
	eventually(t, "a key that is due must be replaced", func() bool { return p.agent.SigningKeyID() != first })
	second := p.agent.SigningKeyID()
	require.Equal(t, []string{second, first}, p.keys(t), "what the old one signed is valid still")
	_, err = p.verify(t, "http://localhost:3000", "sts.amazonaws.com", old)
	require.NoError(t, err)

	p.agent.ForgetSigningKey()
	eventually(t, "an agent that began again must have a key", func() bool { return p.agent.SigningKeyID() != "" })
	require.Len(t, p.keys(t), 3)
	_, err = p.pool.Exec(t.Context(), "UPDATE identity_keys SET expires_at = now(), retires_at = now() WHERE id = $1", first)
	require.NoError(t, err)
	require.NotContains(t, p.keys(t), first)
	_, err = p.verify(t, "http://localhost:3000", "sts.amazonaws.com", old)
	require.Error(t, err)
	var stored int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM identity_keys k WHERE length(public_key) > 91").Scan(&stored))
	require.Zero(t, stored, "a public key of P-256 has 91 bytes")
}

func TestSigningKeys_OfAllHostsArePublishedByEveryReplica(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	one := f.join(t, "one", http.NotFoundHandler())
	two := f.join(t, "two", http.NotFoundHandler())
	for _, m := range []*member{one, two} {
		eventually(t, "each host must have a key", func() bool { return m.agent.SigningKeyID() != "" })
	}
	require.NotEqual(t, one.agent.SigningKeyID(), two.agent.SigningKeyID())
	for _, replica := range f.replicas {
		require.ElementsMatch(t, []string{one.agent.SigningKeyID(), two.agent.SigningKeyID()}, replica.keys(t))
	}
	requireStatus(t, http.StatusNoContent, f.admin(t, http.MethodPost, "/hosts/"+one.HostID+"/revoke", ""))
	for _, replica := range f.replicas {
		require.Equal(t, []string{two.agent.SigningKeyID()}, replica.keys(t), "nothing that a revoked host signs is valid")
	}
}

func TestIssuer_SpeaksForTheServerAndNotForSandboxes(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("guest " + r.URL.Path)) }))
	p.start(t)
	s := p.create(t, `{"templateID":"base"}`)
	const path = "/.well-known/openid-configuration"
	guests := p.send(t, http.MethodGet, path, "", http.Header{"Host": {"3000-" + s.SandboxID + ".localhost"}})
	require.Equal(t, "guest "+path, string(guests.body))
	var described struct {
		Issuer  string
		JWKSURI string `json:"jwks_uri"`
	}
	p.send(t, http.MethodGet, path, "", http.Header{}).decode(t, &described)
	require.Equal(t, "http://localhost:3000", described.Issuer)
	require.Equal(t, "http://localhost:3000/.well-known/jwks.json", described.JWKSURI)
	limited := 0
	for range 120 {
		if p.send(t, http.MethodGet, "/.well-known/jwks.json", "", http.Header{}).status == http.StatusTooManyRequests {
			limited++
		}
	}
	require.Positive(t, limited, "who asks without end is told to wait")
}
