package snapshot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShare_MakesAnotherOfTheSameFiles(t *testing.T) {
	source, manifest, directory := still(t)
	manifest.Secret, manifest.Defaults = "known", Defaults{User: "worker", Environment: map[string]string{"A": "1"}}
	taken, err := Take(t.Context(), source, manifest, filepath.Join(directory, "taken"))
	require.NoError(t, err)
	shared, err := taken.Share("other", filepath.Join(directory, "shared"))
	require.NoError(t, err)
	opened, err := Open(shared.Dir)
	require.NoError(t, err)
	require.Equal(t, "other", opened.BuildID)
	require.Equal(t, manifest.Defaults, opened.Defaults)
	require.Equal(t, "known", opened.Secret)
	first, err := os.Stat(taken.State().MemoryPath)
	require.NoError(t, err)
	second, err := os.Stat(opened.State().MemoryPath)
	require.NoError(t, err)
	require.True(t, os.SameFile(first, second), "guests of both share the page cache")
	require.NoError(t, taken.Remove())
	require.NoError(t, opened.Check())

	_, err = taken.Share("third", filepath.Join(directory, "third"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoDirExists(t, filepath.Join(directory, "third"))
	require.NoDirExists(t, filepath.Join(directory, "third"+unfinishedSuffix))
}
