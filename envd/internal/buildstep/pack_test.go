package buildstep

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// In an overlay, files have the device of their layer and directories have another.
func TestPack_LeavesOutOtherFileSystemsAndNoOtherDevice(t *testing.T) {
	requireRoot(t)
	scratch := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", scratch, "tmpfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(scratch, 0)) })
	for _, name := range []string{"upper", "work", "merged"} {
		require.NoError(t, os.Mkdir(filepath.Join(scratch, name), 0o755))
	}
	lower, merged := t.TempDir(), filepath.Join(scratch, "merged")
	require.NoError(t, os.WriteFile(lower+"/file", []byte("one"), 0o600))
	require.NoError(t, unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, scratch, scratch)))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(merged, 0)) })
	require.NoError(t, os.Mkdir(merged+"/other", 0o755))
	require.NoError(t, unix.Mount("tmpfs", merged+"/other", "tmpfs", 0, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(merged+"/other", 0)) })
	require.NoError(t, os.WriteFile(merged+"/other/left", nil, 0o600))
	packed, archive := do(t, Request{Pack: &Pack{Sources: []string{merged + "/file", merged + "/other"}}}, nil)
	require.Nil(t, packed.Failure)
	require.Contains(t, string(archive), "one")
	require.NotContains(t, string(archive), "left")
}
