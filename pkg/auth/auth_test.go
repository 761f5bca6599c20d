package auth_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	goldenEnvd    = "8e122619f1001ab44f8e3407a873521056c256d952f48c1c8f444e527471b695"
	goldenTraffic = "a65fecc0d3419e55abc46aaade402a18b030a3dfbff89d7ab859d153b75cc1ab"
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

// The values are golden: a change would lock everybody out of paused sandboxes.
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

func TestReadTokens_WantsAWholeKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	_, err := auth.ReadTokens(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err = auth.ReadTokens(path)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, make([]byte, auth.SecretKeySize), 0o600))
	_, err = auth.ReadTokens(path)
	require.NoError(t, err)
}

func TestEqual_ComparesWholeTokens(t *testing.T) {
	t.Parallel()
	require.True(t, auth.Equal("abc", "abc"))
	for _, given := range []string{"", "ab", "abcd", "abd"} {
		require.False(t, auth.Equal(given, "abc"))
	}
}
