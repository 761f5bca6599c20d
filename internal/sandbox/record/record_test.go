package record

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func TestRecord_SurvivesSaveAndLoad(t *testing.T) {
	t.Parallel()
	directory := Directory(t.TempDir())
	want := Record{
		BuildID: "b", State: state.Paused, VCPUCount: 1, MemoryMiB: 512, DiskMiB: 4096, EnvdVersion: "0.6.4", Snapshot: "snapshot-1",
		RequestID: "r", Running: Running{Process: vmm.Process{ID: 7, Start: 9}, Slot: "wrenn-3", Secret: "t", LifecycleID: "l"},
	}
	require.NoError(t, want.Save(directory))
	got, err := Load(directory)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
