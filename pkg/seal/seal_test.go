package seal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

func newKey() []byte {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key)
	return key
}

func newRing(t testing.TB, newest []byte, older ...[]byte) *seal.Keyring {
	t.Helper()
	ring, err := seal.NewKeyring(newest, older...)
	require.NoError(t, err)
	return ring
}

func TestOpen_ReturnsWhatWasSealedAndNothingElse(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey())
	rapid.Check(t, func(r *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(r, "secret")
		purpose := rapid.String().Draw(r, "purpose")
		sealed, err := ring.Seal(secret, purpose)
		require.NoError(r, err)
		require.Len(r, sealed, len(secret)+seal.Overhead)
		opened, err := ring.Open(sealed, purpose)
		require.NoError(r, err)
		require.True(r, bytes.Equal(secret, opened))
		_, err = ring.Open(sealed, purpose+"x")
		require.ErrorIs(r, err, seal.ErrSealed)
		changed := slices.Clone(sealed)
		changed[rapid.IntRange(0, len(sealed)-1).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "by"))
		_, err = ring.Open(changed, purpose)
		require.ErrorIs(r, err, seal.ErrSealed)
		_, err = ring.Open(sealed[:rapid.IntRange(0, len(sealed)-1).Draw(r, "size")], purpose)
		require.ErrorIs(r, err, seal.ErrSealed)
	})
}

func TestSeal_NeverGivesTheSameTwice(t *testing.T) {
	t.Parallel()
	ring := newRing(t, newKey())
	first, err := ring.Seal([]byte("secret"), "x")
	require.NoError(t, err)
	second, err := ring.Seal([]byte("secret"), "x")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

func TestKeyring_SealsWithTheNewestKeyAndOpensWithAll(t *testing.T) {
	t.Parallel()
	oldKey, key := newKey(), newKey()
	before, after := newRing(t, oldKey), newRing(t, key, oldKey)
	sealed, err := before.Seal([]byte("secret"), "x")
	require.NoError(t, err)
	opened, err := after.Open(sealed, "x")
	require.NoError(t, err)
	require.Equal(t, "secret", string(opened))
	sealed, err = after.Seal(opened, "x")
	require.NoError(t, err)
	id, err := seal.KeyOf(sealed)
	require.NoError(t, err)
	require.Equal(t, after.NewestKey(), id)
	_, err = before.Open(sealed, "x")
	require.ErrorIs(t, err, seal.ErrSealed)
}

func TestReadKeyring_SaysWhichFileIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, short := filepath.Join(dir, "good"), filepath.Join(dir, "short")
	require.NoError(t, os.WriteFile(good, newKey(), 0o600))
	require.NoError(t, os.WriteFile(short, []byte("short"), 0o600))
	_, err := seal.ReadKeyring(good)
	require.NoError(t, err)
	_, err = seal.ReadKeyring(good, short)
	require.ErrorContains(t, err, short)
	_, err = seal.ReadKeyring(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// shelf is a store in memory.
type shelf map[string]seal.Stored

func (s shelf) ListSealed(_ context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	var found []seal.Stored
	for id, value := range s {
		if key, err := seal.KeyOf(value.Sealed); err != nil || (key != notWith && id > after) {
			found = append(found, value)
		}
	}
	slices.SortFunc(found, func(a, b seal.Stored) int { return strings.Compare(a.ID, b.ID) })
	return found[:min(len(found), int(limit))], nil
}

func (s shelf) Replace(_ context.Context, old seal.Stored, sealed []byte) error {
	old.Sealed = sealed
	s[old.ID] = old
	return nil
}

func TestRotate_SealsEverythingAgainWithTheNewestKey(t *testing.T) {
	t.Parallel()
	oldKey, key := newKey(), newKey()
	before, store := newRing(t, oldKey), shelf{}
	for i := range 250 {
		id := fmt.Sprintf("%03d", i)
		sealed, err := before.Seal([]byte(id), "thing:"+id)
		require.NoError(t, err)
		store[id] = seal.Stored{ID: id, Purpose: "thing:" + id, Sealed: sealed}
	}
	rotated, err := newRing(t, key, oldKey).Rotate(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, 250, rotated)
	onlyNew := newRing(t, key)
	for id, value := range store {
		opened, err := onlyNew.Open(value.Sealed, value.Purpose)
		require.NoError(t, err)
		require.Equal(t, id, string(opened))
	}
	rotated, err = onlyNew.Rotate(t.Context(), store)
	require.NoError(t, err)
	require.Zero(t, rotated)
}

func FuzzOpen(f *testing.F) {
	ring := newRing(f, newKey())
	sealed, err := ring.Seal([]byte("secret"), "x")
	require.NoError(f, err)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if _, err := ring.Open(sealed, "another"); err == nil {
			t.Fatal("opened what was not sealed for this")
		}
	})
}

func ExampleKeyring() {
	ring, err := seal.NewKeyring(newKey())
	if err != nil {
		panic(err)
	}
	sealed, err := ring.Seal([]byte("hunter2"), "secret:1")
	if err != nil {
		panic(err)
	}
	opened, err := ring.Open(sealed, "secret:1")
	fmt.Println(string(opened), err)
	_, err = ring.Open(sealed, "secret:2")
	fmt.Println(err)
	// Output:
	// hunter2 <nil>
	// sealed value cannot be opened
}
