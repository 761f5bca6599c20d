package vmm

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func startSleep(t *testing.T) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", "300")
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

func TestProcess_IsNotAnotherWithItsNumber(t *testing.T) {
	t.Parallel()
	command := startSleep(t)
	process, err := IdentifyProcess(command.Process.Pid)
	require.NoError(t, err)
	require.True(t, process.Runs())
	stranger := Process{ID: process.ID, Start: process.Start + 1}
	require.False(t, stranger.Runs())
	require.NoError(t, stranger.End(t.Context()))
	require.True(t, process.Runs(), "a stranger's end is not this one's")
	require.False(t, Process{}.Runs())
}

func TestProcess_EndWaitsUntilItIsGone(t *testing.T) {
	t.Parallel()
	command := startSleep(t)
	process, err := IdentifyProcess(command.Process.Pid)
	require.NoError(t, err)
	require.NoError(t, process.End(t.Context()))
	require.False(t, process.Runs())
	_, err = IdentifyProcess(process.ID) // a zombie, which keeps its number
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Error(t, command.Wait())
	require.Eventually(t, func() bool {
		_, err := IdentifyProcess(process.ID)
		return err != nil
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, process.End(t.Context()), "ending it again is fine")
}

func TestWatched_CanBeKilledTwice(t *testing.T) {
	t.Parallel()
	command := exec.Command("sleep", "300")
	require.NoError(t, command.Start())
	watched, err := WatchCommand(command, "sleep")
	require.NoError(t, err)
	require.NoError(t, watched.Kill(t.Context()))
	require.NoError(t, watched.Kill(t.Context()), "one that has ended is fine")
	require.Equal(t, "sleep ended: signal: killed", watched.Reason())
}

func TestWatchCommand_TellsHowOneEndedThatEndedAtOnce(t *testing.T) {
	t.Parallel()
	command := exec.Command("false")
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool {
		_, err := IdentifyProcess(command.Process.Pid)
		return errors.Is(err, os.ErrNotExist)
	}, 5*time.Second, time.Millisecond)
	_, err := WatchCommand(command, "false")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "exit status 1")
}

func TestEndCommand_DoesNotWaitForOneThatRunsOn(t *testing.T) {
	t.Parallel()
	command := exec.Command("sleep", "300")
	require.NoError(t, command.Start())
	require.ErrorContains(t, endCommand(command), "signal: killed")
}
