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
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// mute is a driver of VMs whose monitors do not answer.
type mute struct {
	noVMs
	asked func()
}

var errMute = errors.New("the monitor does not answer")

func (m mute) Adopt(context.Context, vmm.Spec, string, vmm.Process) (vmm.Machine, error) {
	m.asked()
	return nil, errMute
}

// oneSlot is a network that finds every slot.
type oneSlot struct{ noSlots }

func (oneSlot) Adopt(string) (*network.Slot, error) { return &network.Slot{}, nil }

// leaveRunning makes what an agent leaves of a sandbox that runs. Its VM is an idle
// process.
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
	s := record.Directory(filepath.Join(directory, id))
	require.NoError(t, os.MkdirAll(string(s), 0o700))
	require.NoError(t, record.Record{State: state.Running, VCPUCount: 1, MemoryMiB: 1, Running: record.Running{Process: process, Slot: "wrenn-0"}}.Save(s))
	return process
}

func adopting(ctx context.Context, directory string, driver vmm.Driver) (*Manager, error) {
	log := slog.New(slog.DiscardHandler)
	return NewManager(ctx, Config{
		Dir: directory, SnapshotDir: filepath.Join(filepath.Dir(directory), "snapshots"),
		Driver: driver, Network: oneSlot{}, Cgroups: cgroup.Open("off", "test", log), Log: log,
		Traffic: noTraffic{},
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
	require.Equal(t, state.Resuming, info.State)
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
	before, err := record.Load(record.Directory(filepath.Join(directory, "imute000000000000000")))
	require.NoError(t, err)

	stopped, stop := context.WithCancel(t.Context())
	_, err = adopting(stopped, directory, mute{asked: stop})
	require.ErrorIs(t, err, context.Canceled, "told to stop in the middle of it")
	require.True(t, process.Runs())

	m, err := adopting(t.Context(), directory, mute{asked: func() {}})
	require.NoError(t, err)
	m.Leave()
	require.True(t, process.Runs())
	after, err := record.Load(record.Directory(filepath.Join(directory, "imute000000000000000")))
	require.NoError(t, err)
	require.Equal(t, before, after)
}
