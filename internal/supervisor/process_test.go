package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parentVariable turns this test program into a parent that starts a child,
// prints its process ID and waits to be killed.
const parentVariable = "SUPERVISOR_TEST_PARENT"

const patience = 10 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" {
		beParent()
	}
	os.Exit(m.Run())
}

func beParent() {
	child, err := Start("sleep", exec.Command("sleep", "300"), Signals{Stop: syscall.SIGTERM, Orphan: syscall.SIGKILL})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(child.PID())
	<-child.Done()
	os.Exit(0)
}

func TestStart_ChildDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), parentVariable+"=1")
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.True(t, runs(pid))

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	require.Eventually(t, func() bool { return !runs(pid) }, patience, 5*time.Millisecond)
}

func TestStart_OfAMissingProgramFails(t *testing.T) {
	t.Parallel()
	_, err := Start("nothing", exec.Command("/nowhere/nothing"), Signals{Stop: syscall.SIGTERM})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "start nothing")
}

func TestStop_EndsAChildInOrder(t *testing.T) {
	t.Parallel()
	child := startShell(t, `trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done`)
	require.NoError(t, child.Stop(t.Context()))
	require.EqualError(t, child.Err(), "exit status 7")
}

func TestStop_ForcesAChildThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	child := startShell(t, `trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, child.Stop(ctx), context.DeadlineExceeded)
	require.False(t, runs(child.PID()))
}

func TestStop_OfAnEndedChildSucceeds(t *testing.T) {
	t.Parallel()
	child, err := Start("true", exec.Command("true"), Signals{Stop: syscall.SIGTERM})
	require.NoError(t, err)
	<-child.Done()
	require.NoError(t, child.Stop(t.Context()))
	require.NoError(t, child.Err())
}

// startShell runs a script and returns when it has printed "ready".
func startShell(t *testing.T, script string) *Process {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	command := exec.Command("sh", "-c", script)
	command.Stdout = write
	child, err := Start("shell", command, Signals{Stop: syscall.SIGTERM, Orphan: syscall.SIGKILL})
	require.NoError(t, err)
	require.NoError(t, write.Close())
	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	t.Cleanup(func() { require.NoError(t, read.Close()) })
	return child
}

// runs is false for zombies, which their new parent reaps later.
func runs(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(state, "Z")
}
