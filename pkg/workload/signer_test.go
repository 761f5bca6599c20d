package workload_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

const issuer = "https://Wrenn.example.org:8443"

var alice = workload.Identity{
	TeamID: "team-1", TemplateID: "template-1", Tokens: workload.Tokens{"aws": tokenFor("sts.amazonaws.com"), "AWS": tokenFor("another")},
}

func TestSigner_MakesTokensThatThePublishedKeyVerifies(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	key, err := workload.NewKey(issuer, now.Add(time.Hour))
	require.NoError(t, err)
	signer := new(workload.Signer)
	signer.Set(key)
	require.Equal(t, key.ID, signer.KeyID())
	token, err := signer.Sign("i1", alice, "aws", now)
	require.NoError(t, err)

	public, err := key.Public()
	require.NoError(t, err)
	published, err := workload.PublishedKey(key.ID, public)
	require.NoError(t, err)
	require.True(t, published.IsPublic())
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	require.Equal(t, key.ID, parsed.Headers[0].KeyID)
	var standard jwt.Claims
	var ours workload.Claims
	require.NoError(t, parsed.Claims(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published}}, &standard, &ours))
	require.NoError(t, standard.ValidateWithLeeway(jwt.Expected{
		Issuer: issuer, Subject: "spiffe://wrenn.example.org/team/team-1/sandbox/i1", AnyAudience: jwt.Audience{"sts.amazonaws.com"}, Time: now,
	}, 0))
	require.Equal(t, workload.Claims{TeamID: "team-1", SandboxID: "i1", TemplateID: "template-1"}, ours)
	require.Equal(t, now, standard.IssuedAt.Time())
	require.Equal(t, now.Add(workload.Lifetime), standard.Expiry.Time())
	require.Equal(t, now.Add(-workload.Leeway), standard.NotBefore.Time())
	require.NotEmpty(t, standard.ID)
	second, err := signer.Sign("i1", alice, "aws", now)
	require.NoError(t, err)
	require.NotEqual(t, token, second, "each has an ID of its own")
}

func TestSigner_SignsNothingThatItShouldNot(t *testing.T) {
	t.Parallel()
	now := time.Now()
	key, err := workload.NewKey(issuer, now.Add(time.Hour))
	require.NoError(t, err)
	signer := new(workload.Signer)
	_, err = signer.Sign("i1", alice, "aws", now)
	require.ErrorIs(t, err, workload.ErrNoKey)
	signer.Set(key)
	_, err = signer.Sign("i1", alice, "aws", key.NotAfter)
	require.ErrorIs(t, err, workload.ErrNoKey, "after its time")
	_, err = signer.Sign("i1", alice, "Aws", now)
	require.ErrorIs(t, err, workload.ErrNoToken)
	_, err = signer.Sign("i1", workload.Identity{}, "aws", now)
	require.ErrorIs(t, err, workload.ErrNoToken)
}

func TestSigner_TokensFitIntoAHeader(t *testing.T) {
	t.Parallel()
	key, err := workload.NewKey(issuer, time.Now().Add(time.Hour))
	require.NoError(t, err)
	signer := new(workload.Signer)
	signer.Set(key)
	tokens := workload.Tokens{"a": tokenFor(strings.Repeat("<", 512))}
	require.NoError(t, tokens.Validate())
	token, err := signer.Sign("i1", workload.Identity{TeamID: "t", Tokens: tokens}, "a", time.Now())
	require.NoError(t, err)
	require.Less(t, len(token), 6<<10)
}

func TestKey_ComesBackFromItsPrivateHalfAndIsNotPrinted(t *testing.T) {
	t.Parallel()
	notAfter := time.Now().Add(time.Hour)
	key, err := workload.NewKey(issuer, notAfter)
	require.NoError(t, err)
	private, err := key.Marshal()
	require.NoError(t, err)
	parsed, err := workload.ParseKey(private, issuer, notAfter)
	require.NoError(t, err)
	require.Equal(t, key.ID, parsed.ID)
	require.Equal(t, "signing key "+key.ID, fmt.Sprintf("%v", key))
	require.Equal(t, "signing key "+key.ID, fmt.Sprintf("%#v", key))
	require.NotContains(t, fmt.Sprintf("%+v", struct{ Key *workload.Key }{key}), base64.StdEncoding.EncodeToString(private))

	larger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	other, err := x509.MarshalPKCS8PrivateKey(larger)
	require.NoError(t, err)
	for _, wrong := range [][]byte{nil, []byte("key"), other} {
		_, err := workload.ParseKey(wrong, issuer, notAfter)
		require.Error(t, err)
	}
	_, err = workload.ParseKey(private, "wrenn", notAfter)
	require.Error(t, err)
}

func TestTrustDomain_IsTheIssuersDomainWithoutItsPort(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://wrenn.example.org": "wrenn.example.org", "http://LOCALHOST:3000": "localhost",
		"https://a.b:1/path": "a.b", "http://[::1]:3000": "--1",
	} {
		domain, err := workload.TrustDomain(issuer)
		require.NoError(t, err, issuer)
		require.Equal(t, want, domain)
	}
	for _, wrong := range []string{"", "wrenn.example.org", "ftp://a.b", "https://", "://"} {
		_, err := workload.TrustDomain(wrong)
		require.Error(t, err, wrong)
	}
}
