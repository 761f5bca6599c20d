package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// mute is a driver whose machines' monitors do not answer.
type mute struct {
	noVMs
	asked func()
}

var errMute = errors.New("the monitor does not answer")

func (m mute) Adopt(context.Context, vmm.Spec, string, vmm.Process) (vmm.Machine, error) {
	m.asked()
	return nil, errMute
}

// oneSlot is a network that has what a sandbox says it had.
type oneSlot struct{ noSlots }

func (oneSlot) Adopt(string) (*network.Slot, error) { return &network.Slot{}, nil }

// leaveRunning makes what an agent leaves of a sandbox that runs: its VM is a
// process that does nothing.
func leaveRunning(t *testing.T, directory, id string) vmm.Process {
	t.Helper()
	command := exec.Command("sleep", "300")
	require.NoError(t, command.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
	})
	process, err := vmm.IdentifyProcess(command.Process.Pid)
	require.NoError(t, err)
	s := filepath.Join(directory, id)
	require.NoError(t, os.MkdirAll(s, 0o700))
	require.NoError(t, record{State: Running, VCPUCount: 1, MemoryMiB: 1, running: running{Process: process, Slot: "wrenn-0"}}.save(s))
	return process
}

func adopting(ctx context.Context, directory string, driver vmm.Driver) (*Manager, error) {
	log := slog.New(slog.DiscardHandler)
	return NewManager(ctx, Config{
		Dir: directory, SnapshotDir: filepath.Join(filepath.Dir(directory), "snapshots"),
		Driver: driver, Network: oneSlot{}, Cgroups: cgroup.Open("off", "test", log), Log: log,
		Drain: func(context.Context, string) {}, Disconnect: func(string) {},
	})
}

func TestAdopt_EndsNoVMThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	process := leaveRunning(t, directory, "imute000000000000000")
	asked := make(chan struct{}, 64)
	m, err := adopting(t.Context(), directory, mute{asked: func() { asked <- struct{}{} }})
	require.NoError(t, err)
	info, err := m.Get("imute000000000000000")
	require.NoError(t, err)
	require.Equal(t, Resuming, info.State)
	for range 3 {
		<-asked
	}
	require.True(t, process.Runs(), "it is asked again and again")
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = m.Pause(impatient, "imute000000000000000", "", PauseRequest{})
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.NoError(t, m.Kill(t.Context(), "imute000000000000000", ""))
	require.False(t, process.Runs())
	require.NoDirExists(t, filepath.Join(directory, "imute000000000000000"))
	require.NoError(t, m.Close())
}

func TestAdopt_LeavesToTheNextAgentWhatItDidNotFinish(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "sandboxes")
	process := leaveRunning(t, directory, "imute000000000000000")
	before, err := loadRecord(filepath.Join(directory, "imute000000000000000"))
	require.NoError(t, err)

	stopped, stop := context.WithCancel(t.Context())
	_, err = adopting(stopped, directory, mute{asked: stop})
	require.ErrorIs(t, err, context.Canceled, "told to stop in the middle of it")
	require.True(t, process.Runs())

	m, err := adopting(t.Context(), directory, mute{asked: func() {}})
	require.NoError(t, err)
	m.Leave()
	require.True(t, process.Runs())
	after, err := loadRecord(filepath.Join(directory, "imute000000000000000"))
	require.NoError(t, err)
	require.Equal(t, before, after)
}
