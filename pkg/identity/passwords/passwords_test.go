package passwords

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHash_HoldsItsParametersAndASaltOfItsOwn(t *testing.T) {
	t.Parallel()
	hasher := NewHasher()
	first, err := hasher.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, first)
	second, err := hasher.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	for password, right := range map[string]bool{"correct horse": true, "Correct horse": false, "": false} {
		matches, outdated, err := hasher.Matches(t.Context(), password, first)
		require.NoError(t, err)
		require.Equal(t, right, matches, password)
		require.False(t, outdated)
	}
}

func TestHash_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	hasher := &Hasher{hashing: make(chan struct{})} // has no room
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := hasher.Hash(ctx, "correct horse")
	require.ErrorIs(t, err, context.Canceled)
}

func TestMatches_SaysThatOtherParametersAreOutdated(t *testing.T) {
	t.Parallel()
	hasher, weak, salt := NewHasher(), cost{memoryKiB: 64, rounds: 1, threads: 1, hashBytes: 16}, []byte("0123456789abcdef")
	sum, err := hasher.argon2(t.Context(), "correct horse", salt, weak)
	require.NoError(t, err)
	matches, outdated, err := hasher.Matches(t.Context(), "correct horse", formatHash(weak, salt, sum))
	require.NoError(t, err)
	require.True(t, matches)
	require.True(t, outdated)
	matches, _, err = hasher.Matches(t.Context(), "correct horse", Unusable())
	require.NoError(t, err)
	require.False(t, matches)
}

func TestCheck_WantsSomeLengthAndNotTooMuch(t *testing.T) {
	t.Parallel()
	for password, right := range map[string]bool{
		"": false, "123456789": false, "1234567890": true, "ünïcödé123": true, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
	} {
		require.Equal(t, right, Check("password", password) == nil, "%d bytes", len(password))
	}
}

// A stored text is never hashed with parameters beyond costLimit.
func FuzzParseHash(f *testing.F) {
	f.Add(formatHash(currentCost, make([]byte, saltBytes), make([]byte, 32)))
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Add("$argon2i$v=19$m=1,t=1,p=1$AA$AA")
	f.Fuzz(func(t *testing.T, text string) {
		made, salt, sum, err := parseHash(text)
		if err != nil {
			require.ErrorIs(t, err, errNotAHash)
			return
		}
		require.LessOrEqual(t, made.memoryKiB, costLimit.memoryKiB)
		require.LessOrEqual(t, made.rounds, costLimit.rounds)
		again, salt2, sum2, err := parseHash(formatHash(made, salt, sum))
		require.NoError(t, err)
		require.Equal(t, made, again)
		require.Equal(t, salt, salt2)
		require.Equal(t, sum, sum2)
	})
}
