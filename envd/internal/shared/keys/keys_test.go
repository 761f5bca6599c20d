package keys

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The digest of "abc" is the example of FIPS 180-4.
func TestDigest_IsSHA256InHexadecimal(t *testing.T) {
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Digest("abc"))
}

func TestMatches_TellsSecretsApart(t *testing.T) {
	require.True(t, Matches("secret", Digest("secret")))
	for _, other := range []string{"", "secre", "secret ", "Secret", "terces"} {
		require.False(t, Matches(other, Digest("secret")), other)
	}
	for _, digest := range []string{"", "secret", Digest("secret")[1:], Digest("secret") + "0"} {
		require.False(t, Matches("secret", digest), digest)
	}
}
