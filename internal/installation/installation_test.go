package installation

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnsureName(t *testing.T) {
	t.Parallel()
	t.Run("keeps the name it made", func(t *testing.T) {
		t.Parallel()
		dataDir := t.TempDir()
		none, err := ReadName(dataDir)
		require.NoError(t, err)
		require.Empty(t, none)
		name, err := EnsureName(dataDir)
		require.NoError(t, err)
		require.Len(t, name, 2*nameBytes)
		again, err := EnsureName(dataDir)
		require.NoError(t, err)
		require.Equal(t, name, again)
		read, err := ReadName(dataDir)
		require.NoError(t, err)
		require.Equal(t, name, read)
	})
	for _, unusable := range []string{"", "..", ".hidden", "a/b"} {
		t.Run("replaces the name "+unusable, func(t *testing.T) {
			t.Parallel()
			dataDir := t.TempDir()
			require.NoError(t, os.WriteFile(namePath(dataDir), []byte(unusable+"\n"), 0o600))
			name, err := EnsureName(dataDir)
			require.NoError(t, err)
			require.Len(t, name, 2*nameBytes)
		})
	}
}

func TestFindEnvd(t *testing.T) {
	t.Parallel()
	t.Run("is beside the program", func(t *testing.T) {
		t.Parallel()
		path, err := FindEnvd("")
		require.NoError(t, err)
		program, err := os.Executable()
		require.NoError(t, err)
		require.Equal(t, filepath.Join(filepath.Dir(program), "envd"), path)
	})
	t.Run("is the configured file", func(t *testing.T) {
		t.Parallel()
		path, err := FindEnvd("/opt/envd")
		require.NoError(t, err)
		require.Equal(t, "/opt/envd", path)
	})
}
