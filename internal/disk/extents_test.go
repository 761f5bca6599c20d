package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWithout_CountsEachByteThatOnlyOneHas(t *testing.T) {
	t.Parallel()
	const most = 64
	draw := func(t *rapid.T, name string) (all []span, bytes map[uint64]bool) {
		bytes = make(map[uint64]bool)
		for range rapid.IntRange(0, 6).Draw(t, name) {
			start := rapid.Uint64Range(0, most-1).Draw(t, "start")
			end := rapid.Uint64Range(start+1, most).Draw(t, "end")
			all = append(all, span{start, end})
			for at := start; at < end; at++ {
				bytes[at] = true
			}
		}
		return joined(all), bytes
	}
	rapid.Check(t, func(t *rapid.T) {
		mine, myBytes := draw(t, "mine")
		theirs, theirBytes := draw(t, "theirs")
		want := int64(0)
		for at := range myBytes {
			if !theirBytes[at] {
				want++
			}
		}
		require.Equal(t, want, without(mine, theirs))
	})
}

func TestOwnBytes_AreWhatACloneHasChanged(t *testing.T) {
	storage := openTestStorage(t)
	source, clone := filepath.Join(storage.Dir, "source"), filepath.Join(storage.Dir, "clone")
	const block = 64 << 10
	content := make([]byte, 4*block)
	for i := range content {
		content[i] = byte(i % 251)
	}
	require.NoError(t, os.WriteFile(source, content, 0o600))
	require.NoError(t, Clone(source, clone))
	own, err := OwnBytes(clone, source)
	require.NoError(t, err)
	require.Zero(t, own)
	file, err := os.OpenFile(clone, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(content[block:2*block], 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	own, err = OwnBytes(clone, source)
	require.NoError(t, err)
	require.Equal(t, int64(block), own)
	own, err = OwnBytes(clone, "")
	require.NoError(t, err)
	require.Equal(t, int64(4*block), own)
	used, err := UsedBytes(source, clone, source)
	require.NoError(t, err)
	require.Equal(t, int64(5*block), used)
	_, err = OwnBytes(filepath.Join(storage.Dir, "none"), "")
	require.ErrorIs(t, err, os.ErrNotExist)
}
