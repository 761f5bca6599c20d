package nfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

func TestServer_HoldsAnExportToItsQuota(t *testing.T) {
	t.Parallel()
	const block, limit, largest = 4096, 10 * 4096, 1 << 20
	const setAttributes, writeContent, remove, state = 2, 7, 12, 18
	s := serve(t, map[string]string{"a": t.TempDir()})
	s.byName["a"].Quota = quota.New(s.directories["a"], limit)
	root := s.mountNamed(t, "a")
	path := filepath.Join(s.directories["a"], "file")
	require.NoError(t, os.WriteFile(path, nil, 0o666))
	handle, _ := s.lookUp(t, caller{}, root, "file")
	write := func(offset uint64, length int) status {
		result, _ := s.file(t, caller{}, writeContent, func(w *writer) {
			w.opaque(handle)
			w.uint64(offset)
			w.uint64(0)
			w.opaque(make([]byte, length))
		})
		return result
	}
	resize := func(length uint64) status {
		result, _ := s.file(t, caller{}, setAttributes, func(w *writer) {
			w.opaque(handle)
			for range 3 {
				w.bool(false)
			}
			w.bool(true)
			w.uint64(length)
			for range 3 {
				w.uint32(0)
			}
		})
		return result
	}
	require.Equal(t, errNone, write(0, 8*block))
	require.Equal(t, errQuota, write(8*block, 3*block))
	require.Equal(t, errQuota, resize(largest))
	require.Equal(t, errNone, write(8*block, 2*block))
	require.Equal(t, errNone, write(0, 10*block), "within what it has")
	result, answer := s.file(t, caller{}, state, func(w *writer) { w.opaque(root) })
	require.Equal(t, errNone, result)
	const attributesWords = 22
	for range attributesWords {
		answer.uint32()
	}
	require.Equal(t, [3]uint64{limit, 0, 0}, [3]uint64{answer.uint64(), answer.uint64(), answer.uint64()})
	require.Equal(t, errNone, resize(block))
	require.Equal(t, errNone, write(block, 9*block))
	result, _ = s.file(t, caller{}, remove, func(w *writer) { w.opaque(root); w.opaque([]byte("file")) })
	require.Equal(t, errNone, result)
	held, _, err := s.byName["a"].Quota.State()
	require.NoError(t, err)
	require.Zero(t, held.Bytes)
	require.Zero(t, held.Files)
}
