package cgroups

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// openReal makes groups in a part of the machine's own hierarchy that goes
// away with the test.
func openReal(t *testing.T) (*Groups, string) {
	t.Helper()
	mount, err := findMount("/proc/self/mountinfo")
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("control groups cannot be made here (user %d): %v", os.Geteuid(), err)
	}
	home, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err)
	root, err := os.MkdirTemp(mount, "envd-test-") //nolint:usetesting // it has to be in the hierarchy
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		t.Skip("the control groups of this machine are read-only")
	}
	require.NoError(t, err)
	g := open(root, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		g.Close()
		for line := range strings.Lines(string(home)) {
			if path, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
				require.NoError(t, write(filepath.Join(mount, path), "cgroup.procs", "0"))
			}
		}
		for _, name := range []string{"commands/user", "commands/pty", "commands", "socat", "envd", ""} {
			path := filepath.Join(root, name)
			require.Eventually(t, func() bool {
				err := os.Remove(path)
				return err == nil || errors.Is(err, os.ErrNotExist)
			}, patience, time.Millisecond, path)
		}
	})
	require.True(t, g.Usable())
	return g, root
}

// counter writes numbered lines without end.
func counter(t *testing.T, g *Groups, class Class) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	command := exec.Command("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; done")
	command.SysProcAttr = &syscall.SysProcAttr{}
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, g.Start(class, command.SysProcAttr, command.Start))
	t.Cleanup(func() {
		_ = command.Process.Kill()
		require.Error(t, command.Wait())
	})
	return command, bufio.NewReader(output)
}

func TestStart_PutsAProcessIntoItsClass(t *testing.T) {
	g, root := openReal(t)
	for class, name := range directories {
		command, _ := counter(t, g, class)
		members, err := os.ReadFile(filepath.Join(root, name, "cgroup.procs"))
		require.NoError(t, err)
		require.Contains(t, strings.Fields(string(members)), strconv.Itoa(command.Process.Pid))
	}
	own, err := os.ReadFile(filepath.Join(root, ownDirectory, "cgroup.procs"))
	require.NoError(t, err)
	require.Contains(t, strings.Fields(string(own)), strconv.Itoa(os.Getpid()))
}

func TestFreeze_StopsCommandsAndLosesNothing(t *testing.T) {
	g, _ := openReal(t)
	_, output := counter(t, g, User)
	counter(t, g, PTY)
	forwarder, _ := counter(t, g, Socat)
	result, err := g.Freeze(t.Context(), patience)
	require.NoError(t, err)
	require.Equal(t, FreezeResult{Requested: 2, Frozen: 2, Sweep: result.Sweep, Wait: result.Wait}, result)

	again, err := g.Freeze(t.Context(), patience)
	require.NoError(t, err)
	require.Equal(t, 2, again.Frozen, "twice is once")

	refused := &syscall.SysProcAttr{}
	require.ErrorIs(t, g.Start(User, refused, exec.Command("true").Start), ErrFrozen)
	require.NoError(t, forwarder.Process.Signal(syscall.Signal(0)))

	require.NoError(t, g.Thaw())
	require.NoError(t, g.Thaw(), "twice is once")
	for want := 1; want <= 50_000; want++ { // far more than the pipe holds
		line, err := output.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(want), strings.TrimSpace(line))
	}
	command := exec.Command("true")
	command.SysProcAttr = &syscall.SysProcAttr{}
	require.NoError(t, g.Start(User, command.SysProcAttr, command.Run))
}

func TestFreeze_SaysWhatItCouldNotSee(t *testing.T) {
	g, root := openReal(t)
	_, _ = counter(t, g, User)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Freeze(ctx, patience)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, g.Thaw())

	require.NoError(t, os.Remove(filepath.Join(root, directories[PTY])))
	result, err := g.Freeze(t.Context(), patience)
	require.NoError(t, err)
	require.Equal(t, 1, result.Failed)
	require.Equal(t, 1, result.Frozen)
	require.Error(t, g.Thaw())
	require.NoError(t, os.Mkdir(filepath.Join(root, directories[PTY]), 0o755))
}

func TestOpen_EndsForwardersOfAnEarlierEnvd(t *testing.T) {
	g, root := openReal(t)
	command := exec.Command("sleep", "300")
	command.SysProcAttr = &syscall.SysProcAttr{}
	require.NoError(t, g.Start(Socat, command.SysProcAttr, command.Start))
	next := open(root, slog.New(slog.DiscardHandler))
	defer next.Close()
	require.ErrorContains(t, command.Wait(), "killed")
	require.True(t, next.Usable())
}

func TestOpen_WithoutCgroupsStartsProcessesAllTheSame(t *testing.T) {
	var logged bytes.Buffer
	g := open(filepath.Join(t.TempDir(), "no", "such\x00place"), slog.New(slog.NewTextHandler(&logged, nil)))
	require.False(t, g.Usable())
	require.Contains(t, logged.String(), "commands run in the guest agent's own control group")
	command := exec.Command("true")
	command.SysProcAttr = &syscall.SysProcAttr{}
	require.NoError(t, g.Start(User, command.SysProcAttr, command.Run))
	require.NoError(t, g.Thaw())
	// A plain directory takes files of any name; only starting tells.
	require.False(t, open(t.TempDir(), slog.New(slog.DiscardHandler)).Usable())
}

func TestFindMount_ReadsTheTable(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	require.NoError(t, os.WriteFile(table, []byte("22 1 0:20 / /proc rw - proc none rw\n29 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 none rw\n"), 0o600))
	mount, err := findMount(table)
	require.NoError(t, err)
	require.Equal(t, "/sys/fs/cgroup", mount)
	require.NoError(t, os.WriteFile(table, []byte("22 1 0:20 / /proc rw - proc none rw\n"), 0o600))
	_, err = findMount(table)
	require.Error(t, err)
	_, err = findMount(table + "-missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestCommandMemory_LeavesSomeForEnvd(t *testing.T) {
	const mebibyte = 1 << 20
	require.EqualValues(t, 540*mebibyte, commandMemory(600*mebibyte))
	require.EqualValues(t, 252*mebibyte, commandMemory(300*mebibyte))
	require.EqualValues(t, (8192-256)*mebibyte, commandMemory(8192*mebibyte))
	require.EqualValues(t, 32*mebibyte, commandMemory(64*mebibyte), "never less than half")
}
