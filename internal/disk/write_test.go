package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestWriteFile_ReplacesWhatWasThereAndLeavesNothingBeside(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path := filepath.Join(directory, "file")
	require.NoError(t, os.WriteFile(path, []byte("old and longer"), 0o644))
	require.NoError(t, os.WriteFile(path+".new", []byte("left by one that died"), 0o644))
	opened, err := os.Open(path)
	require.NoError(t, err)
	defer opened.Close()

	require.NoError(t, WriteFile(path, []byte("new"), 0o600))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new", string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	kept := make([]byte, len("old and longer"))
	_, err = opened.Read(kept)
	require.NoError(t, err)
	require.Equal(t, "old and longer", string(kept), "who had it open reads on in the old one")
}

func TestWriteFile_LeavesTheOldOneWhenItFails(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a file system")
	}
	directory := t.TempDir()
	require.NoError(t, unix.Mount("full", directory, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(directory, 0)) })
	path := filepath.Join(directory, "file")
	require.NoError(t, WriteFile(path, []byte("old"), 0o600))
	require.ErrorIs(t, WriteFile(path, make([]byte, 1<<20), 0o600), unix.ENOSPC)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(content))
	require.NoFileExists(t, path+".new")
}
