package dbtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSweep_RemovesOnlyWhatNobodyHolds(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	old := time.Now().Add(-2 * settled)
	for _, name := range []string{"left", "held", "fresh", "other"} {
		path := filepath.Join(parent, pattern+name)
		if name == "other" {
			path = filepath.Join(parent, name)
		}
		require.NoError(t, os.MkdirAll(filepath.Join(path, "data"), 0o700))
		if name != "fresh" {
			require.NoError(t, os.Chtimes(path, old, old))
		}
		if name == "held" {
			directory, err := lock(path)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, directory.Close()) })
		}
	}
	require.NoError(t, sweep(parent))
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	require.Equal(t, []string{"other", pattern + "fresh", pattern + "held"}, names)
}
