package cgroup

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// openRoot makes a directory for groups that goes away with the test, which has
// to have removed its groups by then.
func openRoot(t *testing.T) *Root {
	t.Helper()
	mounts, err := findMounts("/proc/self/mountinfo")
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("control groups cannot be made here (user %d): %v", os.Geteuid(), err)
	}
	base, err := os.MkdirTemp(mounts[0], "wrenn-test-") //nolint:usetesting // it has to be in the hierarchy
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		t.Skip("the control groups of this machine are read-only")
	}
	require.NoError(t, err)
	var log bytes.Buffer
	root := Open(base, "installation", slog.New(slog.NewTextHandler(&log, nil)))
	require.NotEmpty(t, root.Path(), "%s", &log)
	lacking := 0
	for _, controller := range wanted {
		if !root.Enforces(controller) {
			lacking = 1
		}
	}
	require.Equal(t, lacking, strings.Count(log.String(), "level=WARN"), "%s", &log)
	t.Cleanup(func() {
		require.NoError(t, root.Close())
		require.NoDirExists(t, base)
	})
	return root
}

// needs skips a test where the kernel keeps a controller from version 2, as one
// does that is used in version 1.
func needs(t *testing.T, root *Root, controller string) {
	t.Helper()
	if !root.Enforces(controller) {
		t.Skipf("the %s controller is not to be had in version 2 of control groups here", controller)
	}
}

func create(t *testing.T, root *Root, name string, limits Limits) *Group {
	t.Helper()
	group, err := root.Create(name, limits)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, group.Remove(ctx))
		require.NoDirExists(t, group.Path())
	})
	return group
}

// start runs a shell script in a group.
func start(t *testing.T, group *Group, script string) *exec.Cmd {
	t.Helper()
	command := exec.Command("/bin/sh", "-c", script)
	command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Directory().Fd())}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

func read(t *testing.T, group *Group, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(group.Path(), file))
	require.NoError(t, err)
	return string(content)
}

func usage(t *testing.T, group *Group) Usage {
	t.Helper()
	measured, err := group.Usage(make([]byte, 4096))
	require.NoError(t, err)
	return measured
}

// requireAlive fails for a process that has ended, whether waited for or not.
func requireAlive(t *testing.T, command *exec.Cmd) {
	t.Helper()
	require.NoError(t, command.Process.Signal(syscall.Signal(0)))
}
