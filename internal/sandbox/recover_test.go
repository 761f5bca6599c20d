package sandbox

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// recovered is a manager of a directory of sandboxes, without VMs or networks.
func recovered(t *testing.T, directory string) *Manager {
	t.Helper()
	m, err := NewManager(t.Context(), Config{
		Dir: directory, SnapshotDir: filepath.Join(filepath.Dir(directory), "snapshots"),
		Driver: noVMs{}, Network: noSlots{}, Cgroups: cgroup.Open("off", "test", slog.New(slog.DiscardHandler)),
		Log: slog.New(slog.DiscardHandler), Traffic: noTraffic{},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// leave makes what an agent leaves of a paused sandbox: a record, and a snapshot
// of which only the disk was kept.
func leave(t *testing.T, directory, id string, kept record.Record) string {
	t.Helper()
	s := filepath.Join(directory, id)
	content, err := json.Marshal(snapshot.Manifest{FormatVersion: 1, DiskOnly: true, MemoryMiB: 1, DiskMiB: 0})
	require.NoError(t, err)
	own := filepath.Join(s, kept.Snapshot)
	require.NoError(t, os.MkdirAll(own, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(own, "manifest.json"), content, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(own, "disk"), nil, 0o600))
	require.NoError(t, kept.Save(record.Directory(s)))
	return s
}

func TestRecover_KeepsWhatItCannotReadAndRecoversTheRest(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	paused := record.Record{State: state.Paused, Snapshot: "snapshot-1", Reason: "as asked"}
	leave(t, directory, "ipaused0000000000000", paused)
	resuming := paused
	resuming.State = state.Resuming
	leave(t, directory, "iresuming00000000000", resuming)
	for id, spoil := range map[string]func(sandbox string) error{
		"iempty00000000000000": func(s string) error { return os.Truncate(filepath.Join(s, "sandbox.json"), 0) },
		"imissing000000000000": func(s string) error { return os.Remove(filepath.Join(s, "sandbox.json")) },
		"iunknown000000000000": func(s string) error {
			newer := paused
			newer.State = "hibernating"
			return newer.Save(record.Directory(s))
		},
		"isnapshot00000000000": func(s string) error { return os.Remove(filepath.Join(s, paused.Snapshot, "disk")) },
	} {
		require.NoError(t, spoil(leave(t, directory, id, paused)))
	}
	m := recovered(t, directory)
	for id, reason := range map[string]string{
		"iempty00000000000000": "read sandbox record", "imissing000000000000": "its record is missing",
		"iunknown000000000000": "hibernating", "isnapshot00000000000": "no such file",
	} {
		info, err := m.Get(id)
		require.NoError(t, err)
		require.Equal(t, state.Failed, info.State, id)
		require.Contains(t, info.Reason, reason)
		require.NotContains(t, info.Reason, directory, "where the host keeps its data is the host's own matter")
		require.DirExists(t, filepath.Join(directory, id, paused.Snapshot), "what can be repaired stays")
		require.NoError(t, m.Kill(t.Context(), id, ""))
		require.NoDirExists(t, filepath.Join(directory, id))
	}
	for _, id := range []string{"ipaused0000000000000", "iresuming00000000000"} {
		info, err := m.Get(id)
		require.NoError(t, err)
		require.Equal(t, state.Paused, info.State, id)
		require.Equal(t, "as asked", info.Reason)
		kept, err := record.Load(record.Directory(filepath.Join(directory, id)))
		require.NoError(t, err)
		require.Equal(t, state.Paused, kept.State)
	}
}

func TestRecover_DoesNotRewriteUnchangedRecords(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	s := leave(t, directory, "ipaused0000000000000", record.Record{State: state.Paused, Snapshot: "snapshot-1"})
	before, err := os.Stat(filepath.Join(s, "sandbox.json"))
	require.NoError(t, err)
	recovered(t, directory)
	after, err := os.Stat(filepath.Join(s, "sandbox.json"))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "each start of an agent would put every paused sandbox at stake")
}

func TestRecover_RemovesWhatWasNeverAcknowledged(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	for _, left := range []state.State{state.Creating, state.Killing} {
		id := "i" + string(left) + strings.Repeat("0", 19-len(left))
		require.NoError(t, os.MkdirAll(filepath.Join(directory, id), 0o700))
		require.NoError(t, record.Record{State: left}.Save(record.Directory(filepath.Join(directory, id))))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "iunrecorded000000000"), 0o700))
	unfinished := filepath.Join(filepath.Dir(directory), "snapshots", "0b5c1a52-6a86-4f8e-a2d3-6d3d3b7e2f11.new")
	require.NoError(t, os.MkdirAll(unfinished, 0o700))
	m := recovered(t, directory)
	require.Empty(t, m.List())
	left, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoDirExists(t, unfinished)
}
