package sandbox

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

func TestOpenSnapshots_ClearsAwayWhatWasNeverPublished(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	storage, err := disk.OpenStorage(t.Context(), t.TempDir(), func(string) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	source := snapshot.Source{DiskPath: filepath.Join(storage.Dir, "disk")}
	require.NoError(t, disk.CreateSparse(source.DiskPath, 1<<20))
	m := &Manager{
		snapshotDir: filepath.Join(storage.Dir, "snapshots"), snapshots: make(map[string]*snapshot.Snapshot),
		log: slog.New(slog.DiscardHandler),
	}
	for _, name := range []string{"kept", "unfinished", forkPrefix + "one"} {
		_, err := snapshot.Take(t.Context(), source, snapshot.Manifest{BuildID: name, DiskMiB: 1, DiskOnly: true}, filepath.Join(m.snapshotDir, name))
		require.NoError(t, err)
	}
	// As a crash right before the last step leaves it.
	require.NoError(t, os.Rename(filepath.Join(m.snapshotDir, "unfinished"), filepath.Join(m.snapshotDir, "unfinished.new")))

	require.NoError(t, m.openSnapshots())
	require.Len(t, m.snapshots, 1)
	require.Contains(t, m.snapshots, "kept")
	entries, err := os.ReadDir(m.snapshotDir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestOpenOwn_UsesOnlyTheDiskOfWhatAnEarlierVersionWrote(t *testing.T) {
	for name, manifest := range map[string]struct {
		content  string
		diskOnly bool
	}{
		"with a secret":    {`{"formatVersion":1,"diskMiB":1,"memoryMiB":1,"secret":"known"}`, false},
		"with a token":     {`{"formatVersion":1,"diskMiB":1,"memoryMiB":1,"accessToken":"a client's"}`, true},
		"without a secret": {`{"formatVersion":1,"diskMiB":1,"memoryMiB":1}`, true},
	} {
		directory := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(directory, "manifest.json"), []byte(manifest.content), 0o600))
		require.NoError(t, disk.CreateSparse(filepath.Join(directory, "disk"), 1<<20))
		require.NoError(t, disk.CreateSparse(filepath.Join(directory, "memory"), 1<<20))
		require.NoError(t, os.WriteFile(filepath.Join(directory, "devices"), nil, 0o600))
		opened, err := openOwn(directory)
		require.NoError(t, err, name)
		require.Equal(t, manifest.diskOnly, opened.DiskOnly, name)
	}
}
