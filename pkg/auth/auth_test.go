package auth_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	goldenEnvd    = "d73c7d65d3a9107af152678d608597c7a4bb9873456da874fc0dffe13458c160"
	goldenTraffic = "88e8560014ac7682b15221f1288143e0edca3a0f58aa8a1127ca0ec7bad542a3"
)

func TestNewKey_HasTheFormThatClientsCheck(t *testing.T) {
	t.Parallel()
	key := auth.NewKey()
	require.Regexp(t, `^e2b_[0-9a-f]{40}$`, key)
	require.True(t, auth.IsKey(key))
	require.NotEqual(t, key, auth.NewKey())
	for _, other := range []string{"", "e2b_", key + "0", key + "\n", " " + key, strings.ToUpper(key), key[:43], "e2b_" + strings.Repeat("g", 40)} {
		require.False(t, auth.IsKey(other), other)
	}
}

func TestMaskKey_ShowsLittle(t *testing.T) {
	t.Parallel()
	mask := auth.MaskKey("e2b_" + strings.Repeat("0", 34) + "abcdef")
	require.Equal(t, auth.Mask{Prefix: "e2b_", ValueLength: 40, MaskedStart: "00", MaskedEnd: "cdef"}, mask)
}

// The values are golden: a change would revoke every token of every installation.
func TestTokens_StayTheSame(t *testing.T) {
	t.Parallel()
	key, err := hex.DecodeString(strings.Repeat("0b", auth.SecretKeySize))
	require.NoError(t, err)
	tokens, err := auth.NewTokens(key)
	require.NoError(t, err)
	require.Equal(t, goldenEnvd, tokens.EnvdAccess("i0123456789abcdefghi", auth.Epochs{}))
	require.Equal(t, goldenTraffic, tokens.TrafficAccess("i0123456789abcdefghi", auth.Epochs{}))
	require.NotEqual(t, tokens.EnvdAccess("ia", auth.Epochs{}), tokens.EnvdAccess("ib", auth.Epochs{}))
}

func TestTokens_DependOnEveryEpoch(t *testing.T) {
	t.Parallel()
	tokens, err := auth.NewTokens(make([]byte, auth.SecretKeySize))
	require.NoError(t, err)
	made := map[string]bool{}
	for _, epochs := range []auth.Epochs{{}, {Team: 1}, {Sandbox: 1}, {Team: 1, Sandbox: 1}, {Team: 11}, {Sandbox: 11}} {
		made[tokens.EnvdAccess("ia", epochs)] = true
		made[tokens.TrafficAccess("ia", epochs)] = true
	}
	for epoch := range int64(3) {
		made[tokens.VolumeAccess("ia", epoch)] = true
	}
	require.Len(t, made, 15)
}

func TestTokens_AreOthersUnderAnotherKey(t *testing.T) {
	t.Parallel()
	key := make([]byte, auth.SecretKeySize)
	tokens, err := auth.NewTokens(key)
	require.NoError(t, err)
	before := tokens.EnvdAccess("ia", auth.Epochs{})
	require.Error(t, tokens.Use(key[1:]))
	require.Equal(t, before, tokens.EnvdAccess("ia", auth.Epochs{}))
	key[0]++
	require.NoError(t, tokens.Use(key))
	require.NotEqual(t, before, tokens.EnvdAccess("ia", auth.Epochs{}))
	_, err = auth.NewTokens(nil)
	require.Error(t, err)
}

func TestEqual_ComparesWholeTokens(t *testing.T) {
	t.Parallel()
	require.True(t, auth.Equal("abc", "abc"))
	for _, given := range []string{"", "ab", "abcd", "abd"} {
		require.False(t, auth.Equal(given, "abc"))
	}
}
