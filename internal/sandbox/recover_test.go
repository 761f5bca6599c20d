package sandbox

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// found is a manager that has looked through a directory of sandboxes, without
// VMs or networks.
func found(t *testing.T, directory string) *Manager {
	t.Helper()
	m, err := NewManager(t.Context(), Config{
		Dir: directory, SnapshotDir: filepath.Join(filepath.Dir(directory), "snapshots"),
		Driver: noVMs{}, Network: noSlots{}, Cgroups: cgroup.Open("off", "test", slog.New(slog.DiscardHandler)),
		Log: slog.New(slog.DiscardHandler), Drain: func(context.Context, string) {}, Disconnect: func(string) {},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// leave makes what an agent leaves of a paused sandbox: a record, and a snapshot
// of which only the disk was kept.
func leave(t *testing.T, directory, id string, kept record) string {
	t.Helper()
	s := filepath.Join(directory, id)
	content, err := json.Marshal(snapshot.Manifest{FormatVersion: 1, DiskOnly: true, MemoryMiB: 1, DiskMiB: 0})
	require.NoError(t, err)
	own := filepath.Join(s, kept.Snapshot)
	require.NoError(t, os.MkdirAll(own, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(own, "manifest.json"), content, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(own, "disk"), nil, 0o600))
	require.NoError(t, kept.save(s))
	return s
}

func TestRecover_KeepsWhatItCannotReadAndTheRestRunsOn(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	paused := record{State: Paused, Snapshot: snapshotPrefix + "1", Reason: "as asked"}
	leave(t, directory, "ipaused0000000000000", paused)
	resuming := paused
	resuming.State = Resuming
	leave(t, directory, "iresuming00000000000", resuming)
	for id, spoil := range map[string]func(sandbox string) error{
		"iempty00000000000000": func(s string) error { return os.Truncate(filepath.Join(s, recordFile), 0) },
		"imissing000000000000": func(s string) error { return os.Remove(filepath.Join(s, recordFile)) },
		"iunknown000000000000": func(s string) error {
			newer := paused
			newer.State = "hibernating"
			return newer.save(s)
		},
		"isnapshot00000000000": func(s string) error { return os.Remove(filepath.Join(s, paused.Snapshot, "disk")) },
	} {
		require.NoError(t, spoil(leave(t, directory, id, paused)))
	}
	m := found(t, directory)
	for id, reason := range map[string]string{
		"iempty00000000000000": "read sandbox record", "imissing000000000000": "its record is missing",
		"iunknown000000000000": "hibernating", "isnapshot00000000000": "no such file",
	} {
		info, err := m.Get(id)
		require.NoError(t, err)
		require.Equal(t, Failed, info.State, id)
		require.Contains(t, info.Reason, reason)
		require.NotContains(t, info.Reason, directory, "where the host keeps its data is the host's own matter")
		require.DirExists(t, filepath.Join(directory, id, paused.Snapshot), "what may be mended stays")
		require.NoError(t, m.Kill(t.Context(), id, ""))
		require.NoDirExists(t, filepath.Join(directory, id))
	}
	for _, id := range []string{"ipaused0000000000000", "iresuming00000000000"} {
		info, err := m.Get(id)
		require.NoError(t, err)
		require.Equal(t, Paused, info.State, id)
		require.Equal(t, "as asked", info.Reason)
		kept, err := loadRecord(filepath.Join(directory, id))
		require.NoError(t, err)
		require.Equal(t, Paused, kept.State)
	}
}

func TestRecover_WritesNothingAboutWhatIsAsItWas(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	s := leave(t, directory, "ipaused0000000000000", record{State: Paused, Snapshot: snapshotPrefix + "1"})
	before, err := os.Stat(filepath.Join(s, recordFile))
	require.NoError(t, err)
	found(t, directory)
	after, err := os.Stat(filepath.Join(s, recordFile))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "each start of an agent would put every paused sandbox at stake")
}

func TestRecover_ClearsAwayWhatWasNeverAcknowledged(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	for _, state := range []State{Creating, Killing} {
		id := "i" + strings.Repeat("0", 19-len(state)) + string(state)
		require.NoError(t, os.MkdirAll(filepath.Join(directory, id), 0o700))
		require.NoError(t, record{State: state}.save(filepath.Join(directory, id)))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "iunrecorded000000000"), 0o700))
	unfinished := filepath.Join(filepath.Dir(directory), "snapshots", "0b5c1a52-6a86-4f8e-a2d3-6d3d3b7e2f11.new")
	require.NoError(t, os.MkdirAll(unfinished, 0o700))
	m := found(t, directory)
	require.Empty(t, m.List())
	left, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoDirExists(t, unfinished)
}
