package filesystem

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadMounts_TakesPathTypeAndSource(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	require.NoError(t, os.WriteFile(table, []byte(`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /with\040blank rw shared:2 master:1 - nfs 169.254.0.1:/a\134b rw
malformed
36 22 0:31 / - - 
`), 0o600))
	mounts, err := ReadMounts(table)
	require.NoError(t, err)
	require.Equal(t, []Mount{{"/", "ext4", "/dev/sda1"}, {"/with blank", "nfs", `169.254.0.1:/a\b`}}, mounts)
}

func TestReadMounts_ReadsTheKernels(t *testing.T) {
	mounts, err := ReadMounts(MountTable)
	require.NoError(t, err)
	require.NotEmpty(t, mounts)
	_, err = ReadMounts("/no/such/table")
	require.ErrorIs(t, err, os.ErrNotExist)
}
