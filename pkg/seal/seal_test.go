package seal_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

func newKey() []byte { return seal.NewKey() }

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

func TestKeyring_UsesOtherKeysAtOnce(t *testing.T) {
	t.Parallel()
	oldKey, key := newKey(), newKey()
	ring := newRing(t, oldKey)
	sealed, err := ring.Seal([]byte("secret"), "x")
	require.NoError(t, err)
	require.NoError(t, ring.Use(key, oldKey))
	opened, err := ring.Open(sealed, "x")
	require.NoError(t, err)
	require.Equal(t, "secret", string(opened))
	require.Equal(t, newRing(t, key).NewestKey(), ring.NewestKey())
	require.Len(t, ring.Keys(), 2)
	require.Error(t, ring.Use(key[1:]))
	require.Equal(t, newRing(t, key).NewestKey(), ring.NewestKey(), "keys that are wrong change nothing")
	require.NoError(t, ring.Use(key))
	_, err = ring.Open(sealed, "x")
	require.ErrorIs(t, err, seal.ErrSealed)
}

func TestReadKeys_SaysWhichFileIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, short, empty := filepath.Join(dir, "good"), filepath.Join(dir, "short"), filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(good, newKey(), 0o600))
	require.NoError(t, os.WriteFile(short, make([]byte, seal.KeySize+1), 0o600))
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	keys, err := seal.ReadKeys(good, good)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, wrong := range []string{short, empty} {
		_, err = seal.ReadKeys(good, wrong)
		require.ErrorContains(t, err, wrong)
	}
	_, err = seal.ReadKeys(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRotateKeyFile_PutsANewKeyInFrontAndLosesNone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	first := newKey()
	require.NoError(t, os.WriteFile(path, first, 0o640))
	require.NoError(t, os.Chmod(path, 0o640))
	var rotating sync.WaitGroup
	for range 5 {
		rotating.Go(func() {
			_, err := seal.RotateKeyFile(path)
			require.NoError(t, err)
		})
	}
	rotating.Wait()
	newest, err := seal.RotateKeyFile(path)
	require.NoError(t, err)
	keys, err := seal.ReadKeys(path)
	require.NoError(t, err)
	require.Len(t, keys, 7)
	require.Equal(t, first, keys[6])
	require.Equal(t, newest, newRing(t, keys[0], keys[1:]...).NewestKey())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode())
	left, err := filepath.Glob(path + "?*")
	require.NoError(t, err)
	require.Empty(t, left)
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
