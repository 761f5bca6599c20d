package snapshot

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// stillMachine is a machine that never ran: the drivers' suite has real ones.
type stillMachine struct{ vmm.Machine }

func (stillMachine) Maker() vmm.Maker {
	return vmm.Maker{Driver: "qemu", Accelerator: "tcg", Version: "7"}
}

func (stillMachine) Snapshot(_ context.Context, into vmm.State) error {
	return os.WriteFile(into.DevicesPath, []byte("devices"), 0o600)
}

// still is what a snapshot can be taken of, in a directory that clones files.
func still(t *testing.T) (Source, Manifest, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	storage, err := disk.OpenStorage(t.Context(), t.TempDir(), func(string) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	source := Source{Machine: stillMachine{}, MemoryPath: filepath.Join(storage.Dir, "memory"), DiskPath: filepath.Join(storage.Dir, "disk")}
	for _, path := range []string{source.MemoryPath, source.DiskPath} {
		require.NoError(t, disk.CreateSparse(path, 1<<20))
	}
	return source, Manifest{BuildID: "build", MemoryMiB: 1, DiskMiB: 1}, storage.Dir
}

func TestTake_SaysWhatTheSnapshotRestoresWith(t *testing.T) {
	source, manifest, directory := still(t)
	taken, err := Take(t.Context(), source, manifest, filepath.Join(directory, "taken"))
	require.NoError(t, err)
	opened, err := Open(taken.Dir)
	require.NoError(t, err)
	require.Equal(t, stillMachine{}.Maker(), opened.MadeBy)
	require.Equal(t, opened.MadeBy, opened.State().MadeBy)

	manifest.DiskOnly = true
	source.Machine = nil
	taken, err = Take(t.Context(), source, manifest, filepath.Join(directory, "disk-only"))
	require.NoError(t, err)
	require.Zero(t, taken.MadeBy, "any VMM boots a disk")
}

func TestOpen_TakesASnapshotFromBeforeItsMakerWasWrittenDown(t *testing.T) {
	source, manifest, directory := still(t)
	taken, err := Take(t.Context(), source, manifest, filepath.Join(directory, "taken"))
	require.NoError(t, err)
	path := filepath.Join(taken.Dir, manifestFile)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(content, &fields))
	require.Contains(t, fields, "madeBy")
	delete(fields, "madeBy")
	content, err = json.Marshal(fields)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	opened, err := Open(taken.Dir)
	require.NoError(t, err)
	require.Zero(t, opened.MadeBy)
}

func TestOpenOfSandbox_UsesOnlyTheDiskWithoutASecret(t *testing.T) {
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
		opened, err := OpenOfSandbox(directory)
		require.NoError(t, err, name)
		require.Equal(t, manifest.diskOnly, opened.DiskOnly, name)
	}
}
