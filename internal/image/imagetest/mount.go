package imagetest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Mount has the kernel mount a disk of ours by a loop device until the test ends, with the
// options that are given besides. Without root the test is skipped.
func Mount(t *testing.T, fileSystem, disk string, options ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a disk")
	}
	at := t.TempDir()
	arguments := []string{"-t", fileSystem, "-o", "loop"}
	for _, option := range options {
		arguments = append(arguments, "-o", option)
	}
	output, err := exec.Command("mount", append(arguments, disk, at)...).CombinedOutput()
	require.NoError(t, err, string(output))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(at, 0)) })
	return at
}
