package catalog

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

func TestOpen_RemovesUnfinishedAndTransientSnapshots(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	storage, err := disk.OpenStorage(t.Context(), t.TempDir(), func(string) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	source := snapshot.Source{DiskPath: filepath.Join(storage.Dir, "disk")}
	require.NoError(t, disk.CreateSparse(source.DiskPath, 1<<20))
	c := New(filepath.Join(storage.Dir, "snapshots"), slog.New(slog.DiscardHandler))
	for _, name := range []string{"kept", "unfinished", transientPrefix + "one"} {
		_, err := snapshot.Take(t.Context(), source, snapshot.Manifest{BuildID: name, DiskMiB: 1, DiskOnly: true}, filepath.Join(c.directory, name))
		require.NoError(t, err)
	}
	// As a crash right before the last step leaves it.
	require.NoError(t, os.Rename(filepath.Join(c.directory, "unfinished"), filepath.Join(c.directory, "unfinished.new")))

	require.NoError(t, c.Open())
	require.Len(t, c.snapshots, 1)
	require.Contains(t, c.snapshots, "kept")
	entries, err := os.ReadDir(c.directory)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
