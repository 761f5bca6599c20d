package egress

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAuthority_IsTheSameAfterItWasStored(t *testing.T) {
	made, err := NewAuthority()
	require.NoError(t, err)
	stored, err := made.Marshal()
	require.NoError(t, err)
	read, err := ParseAuthority(stored)
	require.NoError(t, err)
	require.Equal(t, made.Certificate(), read.Certificate())
	leaf, err := read.leaf("api.example")
	require.NoError(t, err)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(made.Certificate()))
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: trusted, DNSName: "api.example"})
	require.NoError(t, err)
	_, err = ParseAuthority(made.Certificate())
	require.ErrorIs(t, err, errMalformedAuthority)
}

func TestPolicy_WithRulesNeedsAnAuthority(t *testing.T) {
	policy := parse(t, Spec{Rules: map[string][]Rule{"api.example": secretRule()}})
	require.ErrorIs(t, policy.Complete(), ErrNoAuthority)
	authority, err := NewAuthority()
	require.NoError(t, err)
	require.NoError(t, policy.WithAuthority(authority).Complete())
	require.NoError(t, Default().Complete())
}
