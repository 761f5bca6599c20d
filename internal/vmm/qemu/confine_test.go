package qemu

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func TestConfinement_HoldsNoMountButWhatIsNeeded(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts file systems")
	}
	needed, foreign := mountMemory(t), mountMemory(t)
	runDir := filepath.Join(needed, "deep", "run")
	require.NoError(t, os.MkdirAll(filepath.Join(runDir, emptyDirectory), 0o700))
	disk := filepath.Join(needed, "disk")
	require.NoError(t, os.WriteFile(disk, []byte("content"), 0o600))
	driver := &Driver{binary: "/usr/bin/env"}

	var points []string
	require.NoError(t, thread.Run(func() error {
		c := driver.confinement(vmm.Spec{RunDir: runDir, DiskPath: disk}, disk, "/nonexistent/kernel")
		if err := c.enterMounts(); err != nil {
			return err
		}
		content, err := os.ReadFile("/proc/thread-self/mountinfo")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			points = append(points, strings.Fields(line)[4]) // proc_pid_mountinfo(5)
		}
		for _, path := range []string{disk, "/dev/null", "/proc/self", "/usr/bin"} {
			if _, err := os.Stat(path); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Contains(t, points, needed)
	require.NotContains(t, points, foreign)
	system, err := mountPoints(systemFiles)
	require.NoError(t, err)
	for _, point := range points {
		allowed := point == "/" || strings.HasPrefix(needed+"/", point+"/") || slices.Contains(system, point)
		require.True(t, allowed, "%s is mounted: %v", point, points)
	}
}

func mountMemory(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, unix.Mount("memory", directory, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(directory, 0)) })
	return directory
}
