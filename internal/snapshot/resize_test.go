package snapshot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResized_BootsWhatABuildLeftBeforeItsStart(t *testing.T) {
	source, manifest, directory := still(t)
	source.BeforeStartPath = filepath.Join(directory, "before")
	require.NoError(t, os.WriteFile(source.BeforeStartPath, make([]byte, 1<<20), 0o600))
	require.NoError(t, os.WriteFile(source.DiskPath, append([]byte("started"), make([]byte, 1<<20-7)...), 0o600))
	manifest.Start = &Start{Command: "serve", Ready: "ask"}
	taken, err := Take(t.Context(), source, manifest, filepath.Join(directory, "taken"))
	require.NoError(t, err)
	opened, err := Open(taken.Dir)
	require.NoError(t, err)
	require.Equal(t, manifest.Start, opened.Start)
	require.True(t, opened.CanResize())

	resized := opened.Resized(2, 3, 4)
	require.NoError(t, resized.Check())
	require.True(t, resized.DiskOnly)
	require.Equal(t, []int{2, 3, 4}, []int{resized.VCPUCount, resized.MemoryMiB, resized.DiskMiB})
	path := filepath.Join(directory, "live")
	require.NoError(t, resized.CloneDisk(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 4<<20), content, "larger, and from before the start")
	require.NoError(t, opened.Check(), "the snapshot is as before")

	shared, err := opened.Share("other", filepath.Join(directory, "shared"))
	require.NoError(t, err)
	require.NoError(t, taken.Remove())
	require.NoError(t, shared.Resized(1, 1, 1).Check(), "a build of the same has it, too")
	require.NoError(t, os.Remove(filepath.Join(shared.Dir, beforeStartFile)))
	var broken *BrokenError
	require.ErrorAs(t, shared.Check(), &broken)
}

func TestResized_OfADiskThatNothingRanOn(t *testing.T) {
	source, manifest, directory := still(t)
	require.NoError(t, os.WriteFile(source.DiskPath, append([]byte("files"), make([]byte, 1<<20-5)...), 0o600))
	manifest.DiskOnly, source.Machine = true, nil
	taken, err := Take(t.Context(), source, manifest, filepath.Join(directory, "taken"))
	require.NoError(t, err)
	require.True(t, taken.CanResize())
	path := filepath.Join(directory, "live")
	require.NoError(t, taken.Resized(1, 1, 2).CloneDisk(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, content, 2<<20)
	require.Equal(t, "files", string(content[:5]))
}

func TestCanResize_NeedsToKnowWhatRuns(t *testing.T) {
	t.Parallel()
	for want, all := range map[bool][]Manifest{
		true:  {{Name: "base"}, {Start: &Start{}}, {DiskOnly: true}},
		false: {{}, {FinishKey: "of an earlier version"}},
	} {
		for _, manifest := range all {
			require.Equal(t, want, (&Snapshot{Manifest: manifest}).CanResize(), "%+v", manifest)
		}
	}
}
