package cgroup

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const spin = "while :; do :; done"

func TestCreate_StartsAProcessRightInTheGroupAndCountsIt(t *testing.T) {
	root := openRoot(t)
	group := create(t, root, "counted", Limits{})
	command := start(t, group, spin)
	require.Equal(t, []string{strconv.Itoa(command.Process.Pid)}, strings.Fields(read(t, group, "cgroup.procs")))
	before := usage(t, group).CPU
	require.Eventually(t, func() bool { return usage(t, group).CPU > before+50*time.Millisecond }, patience, 10*time.Millisecond)
}

func TestRemove_EndsAllThatRunsInTheGroup(t *testing.T) {
	root := openRoot(t)
	group := create(t, root, "full", Limits{})
	command := start(t, group, "sleep 300 & sleep 300 & wait")
	require.Eventually(t, func() bool { return len(strings.Fields(read(t, group, "cgroup.procs"))) == 3 }, patience, time.Millisecond)
	require.NoError(t, group.Remove(t.Context()))
	require.NoDirExists(t, group.Path())
	require.ErrorContains(t, command.Wait(), "killed")
	require.NoError(t, group.Remove(t.Context()), "twice is once")
}

func TestCreate_ReplacesALeftoverOfThatName(t *testing.T) {
	root := openRoot(t)
	old := start(t, create(t, root, "same", Limits{}), spin)
	group := create(t, root, "same", Limits{})
	require.ErrorContains(t, old.Wait(), "killed")
	require.Empty(t, read(t, group, "cgroup.procs"))
}

func TestRemoveAllBut_EndsOrphansAndKeepsWhatIsInUse(t *testing.T) {
	root := openRoot(t)
	kept, orphan := create(t, root, "kept", Limits{}), create(t, root, "orphan", Limits{})
	running, doomed := start(t, kept, spin), start(t, orphan, spin)
	require.NoError(t, root.RemoveAllBut(t.Context(), []string{"kept"}))
	require.ErrorContains(t, doomed.Wait(), "killed")
	require.NoDirExists(t, orphan.Path())

	// The next agent finds it again, with what it has counted.
	again, err := root.Find("kept")
	require.NoError(t, err)
	t.Cleanup(again.Release)
	require.Equal(t, strconv.Itoa(running.Process.Pid), strings.TrimSpace(read(t, again, "cgroup.procs")))
	require.Eventually(t, func() bool { return usage(t, again).CPU > 0 }, patience, time.Millisecond)
}

func TestFind_IsNilForWhatIsNotThere(t *testing.T) {
	root := openRoot(t)
	group, err := root.Find("nobody")
	require.NoError(t, err)
	require.Nil(t, group)
}

// unusable are places where no group can be made.
func unusable(t *testing.T) map[string]string {
	t.Helper()
	places := map[string]string{"turned off": Off, "not a hierarchy": filepath.Join(t.TempDir(), "wrenn")}
	mounts, err := findMounts("/proc/self/mountinfo")
	if err != nil || os.Geteuid() != 0 {
		return places
	}
	// As a container sees it that has no privileges.
	readOnly := t.TempDir()
	require.NoError(t, unix.Mount(mounts[0], readOnly, "", unix.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(readOnly, 0)) })
	require.NoError(t, unix.Mount("", readOnly, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	places["read-only"] = filepath.Join(readOnly, "wrenn")
	return places
}

func TestOpen_WarnsOnceWhereThereCanBeNoGroupsAndGoesOn(t *testing.T) {
	for name, base := range unusable(t) {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			root := Open(base, "installation", slog.New(slog.NewTextHandler(&log, nil)))
			require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
			require.Contains(t, log.String(), "no limits are set on sandboxes")
			group, err := root.Create("name", Limits{MemoryMaxBytes: 1})
			require.NoError(t, err)
			require.Nil(t, group)
			require.Nil(t, group.Directory())
			require.Empty(t, group.Name())
			require.Empty(t, group.Path())
			require.Equal(t, Usage{}, usage(t, group))
			require.False(t, group.OutOfMemory())
			require.NoError(t, group.Remove(t.Context()))
			require.NoError(t, root.RemoveAllBut(t.Context(), nil))
			require.NoError(t, root.Close())
		})
	}
}

func TestDeviceOf_NamesAWholeDiskOrSaysWhyNot(t *testing.T) {
	device, err := DeviceOf("/")
	if err == nil {
		_, err := os.Stat(filepath.Join("/sys/dev/block", device, "partition"))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	_, err = DeviceOf("/proc")
	require.ErrorContains(t, err, "not on one block device")
}
