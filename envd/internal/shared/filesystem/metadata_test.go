package filesystem

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSetMetadata_ReplacesWhatClientsAttached(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, unix.Setxattr(path, "user.other", []byte("not a client's"), 0))
	require.Nil(t, Metadata(path))
	require.NoError(t, SetMetadata(path, map[string]string{"a": "1", "b": "2"}))
	require.NoError(t, SetMetadata(path, map[string]string{"b": "3", "c": "4"}))
	require.Equal(t, map[string]string{"b": "3", "c": "4"}, Metadata(path))
	require.NoError(t, SetMetadata(path, nil))
	require.Nil(t, Metadata(path))
	missing := path + "-missing"
	require.Error(t, SetMetadata(missing, map[string]string{"a": "1"}))
	require.Nil(t, Metadata(missing))
}

func TestMetadata_IsBounded(t *testing.T) {
	directory := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", directory, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(directory, 0)) })
	path := filepath.Join(directory, "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for i := range 40 {
		if err := unix.Setxattr(path, fmt.Sprintf("%s%d", MetadataPrefix, i), []byte(strings.Repeat("x", 4096)), 0); err != nil {
			t.Skipf("this kernel's tmpfs keeps no user attributes: %v", err)
		}
	}
	require.Len(t, Metadata(path), maxMetadataBytes/4097)
}
