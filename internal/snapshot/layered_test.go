package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// layeredMachine saves a memory smaller than the machine's, and a layer.
type layeredMachine struct{ vmm.Machine }

func (layeredMachine) Maker() vmm.Maker {
	return vmm.Maker{Driver: "gvisor", Version: "1", ExactVersion: true}
}

func (layeredMachine) Snapshot(_ context.Context, into vmm.State) error {
	return errors.Join(os.WriteFile(into.DevicesPath, []byte("devices"), 0o600), os.WriteFile(into.MemoryPath, []byte("pages"), 0o600))
}

func (layeredMachine) SaveLayer(_ context.Context, path string) error {
	return os.WriteFile(path, []byte("changed"), 0o600)
}

func layeredSource(t *testing.T) Source {
	t.Helper()
	directory := t.TempDir()
	source := Source{
		MemoryPath: filepath.Join(directory, "memory"), DiskPath: filepath.Join(directory, "disk"),
		DirectoryPath: filepath.Join(directory, "wrenn"), LayerPath: filepath.Join(directory, "layer"),
	}
	for _, path := range []string{source.MemoryPath, source.DiskPath, source.DirectoryPath, source.LayerPath} {
		require.NoError(t, os.WriteFile(path, []byte(filepath.Base(path)), 0o600))
	}
	return source
}

func TestTake_SharesTheImagesOfALayeredMachineAndSavesItsLayer(t *testing.T) {
	t.Parallel()
	source := layeredSource(t)
	source.Machine = layeredMachine{}
	taken, err := Take(t.Context(), source, Manifest{MemoryMiB: 512, DiskMiB: 1024}, filepath.Join(t.TempDir(), "taken"))
	require.NoError(t, err)
	opened, err := Open(taken.Dir)
	require.NoError(t, err)
	require.True(t, opened.Layered)
	for from, to := range map[string]string{source.DiskPath: opened.DiskPath(), source.DirectoryPath: opened.DirectoryPath()} {
		one, err := os.Stat(from)
		require.NoError(t, err)
		other, err := os.Stat(to)
		require.NoError(t, err)
		require.True(t, os.SameFile(one, other), "guests of both share its pages")
	}
	content, err := os.ReadFile(opened.LayerPath())
	require.NoError(t, err)
	require.Equal(t, "changed", string(content))

	require.NoError(t, os.Truncate(opened.LayerPath(), 1))
	var broken *BrokenError
	require.ErrorAs(t, opened.Check(), &broken)
	require.Equal(t, layerFile, broken.File)
}

func TestTake_KeepsTheLayerOfAMachineThatHasEnded(t *testing.T) {
	t.Parallel()
	taken, err := Take(t.Context(), layeredSource(t), Manifest{DiskOnly: true}, filepath.Join(t.TempDir(), "taken"))
	require.NoError(t, err)
	content, err := os.ReadFile(taken.LayerPath())
	require.NoError(t, err)
	require.Equal(t, "layer", string(content))
	require.NoFileExists(t, taken.State().MemoryPath)
}
