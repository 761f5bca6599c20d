package fleet_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

func TestAuthority_IsOneForAllAndItsKeyIsNeverInTheClear(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, fresh := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(old)
	_, _ = rand.Read(fresh)
	before, err := seal.NewKeyring(old)
	require.NoError(t, err)
	first, err := fleet.OpenAuthority(t.Context(), f.Pool, before)
	require.NoError(t, err)
	second, err := fleet.OpenAuthority(t.Context(), f.Pool, before)
	require.NoError(t, err)
	require.Equal(t, first.Certificate(), second.Certificate())
	key, err := first.Key()
	require.NoError(t, err)
	stored, err := rows.New(f.Pool).GetAuthority(t.Context())
	require.NoError(t, err)
	require.False(t, bytes.Contains(stored.SealedKey, key[8:24]))

	after, err := seal.NewKeyring(fresh, old)
	require.NoError(t, err)
	count, err := after.Rotate(t.Context(), fleet.NewAuthorityKeys(f.Pool))
	require.NoError(t, err)
	require.Equal(t, 1, count)
	alone, err := seal.NewKeyring(fresh)
	require.NoError(t, err)
	third, err := fleet.OpenAuthority(t.Context(), f.Pool, alone)
	require.NoError(t, err)
	require.Equal(t, first.Certificate(), third.Certificate())
	_, err = fleet.OpenAuthority(t.Context(), f.Pool, before)
	require.Error(t, err, "the old key opens it no more")
}
