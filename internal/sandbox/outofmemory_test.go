package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// processMachine is a process in the place of a VM.
type processMachine struct {
	vmm.Machine
	command *exec.Cmd
	done    chan struct{}
}

// startProcess runs a shell script as if it were a VMM.
func startProcess(t *testing.T, group *cgroup.Group, script string) *processMachine {
	t.Helper()
	m := &processMachine{command: exec.Command("sh", "-c", script), done: make(chan struct{})}
	m.command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Directory().Fd())}
	require.NoError(t, m.command.Start())
	go func() {
		defer close(m.done)
		_ = m.command.Wait()
	}()
	return m
}

func (m *processMachine) Process() vmm.Process  { return vmm.Process{ID: m.command.Process.Pid} }
func (m *processMachine) Done() <-chan struct{} { return m.done }
func (m *processMachine) ExitReason() string    { return "VMM ended: " + m.command.ProcessState.String() }

func (m *processMachine) Kill(context.Context) error {
	_ = m.command.Process.Kill() // it may have ended
	<-m.done
	return nil
}

// noVMs is a driver that finds none.
type noVMs struct{ vmm.Driver }

func (noVMs) Accelerator() string                     { return "kvm" }
func (noVMs) Processes(string) ([]vmm.Process, error) { return nil, nil }

// noSlots is a network without cables.
type noSlots struct{ Network }

func (noSlots) Release(*network.Slot)  {}
func (noSlots) RemoveLeftovers() error { return nil }

// noTraffic is a host without connections to guests.
type noTraffic struct{}

func (noTraffic) Drain(context.Context, string) {}
func (noTraffic) Disconnect(string)             {}

// manage is a manager of processes in real control groups that bound memory.
func manage(t *testing.T, bounds admission.Bounds) (*Manager, *cgroup.Root) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("control groups can only be made by root")
	}
	root := cgroup.Open("", "test-"+filepath.Base(t.TempDir()), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	if !root.Enforces("memory") {
		t.Skip("the memory controller is not to be had in version 2 of control groups here")
	}
	dir := t.TempDir()
	m, err := NewManager(t.Context(), Config{
		Dir: filepath.Join(dir, "sandboxes"), SnapshotDir: filepath.Join(dir, "snapshots"),
		Driver: noVMs{}, Network: noSlots{}, Cgroups: root, Admission: bounds, Log: slog.New(slog.DiscardHandler),
		Traffic: noTraffic{},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m, root
}

// runProcess makes a process the guest of a running sandbox.
func runProcess(t *testing.T, m *Manager, cgroups *cgroup.Root, id string, limits cgroup.Limits, script string) *sandbox {
	t.Helper()
	s := &sandbox{
		id: id, directory: m.host.sandboxDirectory(id), host: m.host, settled: closedChannel(),
		record: record.Record{State: state.Running, VCPUCount: 1, MemoryMiB: 32},
	}
	require.NoError(t, os.Mkdir(string(s.directory), 0o700))
	group, err := cgroups.Create(id, limits)
	require.NoError(t, err)
	spec := guest.Spec{ID: id, Directory: s.directory, VCPUCount: 1, MemoryMiB: 32}
	s.guest = guest.New(spec, startProcess(t, group, script), &network.Slot{}, group)
	op := &operation{sandbox: s}
	require.NoError(t, op.saveRunning(time.Now()))
	require.NoError(t, m.host.add(s))
	s.watch(s.guest)
	t.Cleanup(func() { _ = m.Kill(context.Background(), id, "") }) // most tests did
	return s
}

func TestAdmit_RefusesWhileWhatRunsWaitsForMemoryThatIsScarce(t *testing.T) {
	m, root := manage(t, admission.Bounds{PressurePercent: 1})
	_, err := os.Stat("/proc/pressure/memory")
	require.NoError(t, err, "the kernel does not tell how long things wait for memory")
	limits := cgroup.Limits{MemoryHighBytes: 16 << 20} // above which it is slowed down, more and more
	runProcess(t, m, root, "waiting000", limits, `x=0123456789abcdef; while [ ${#x} -lt 30000000 ]; do x=$x$x; done; while :; do y=$x; y=; done`)
	const patience = 40 * time.Second
	require.Eventually(t, func() bool { return admission.MemoryPressure() > 2 }, patience, 100*time.Millisecond)
	release, err := m.admission.Admit(admission.Size{VCPUCount: 1, MemoryMiB: 32})
	require.NoError(t, err, "a group at its own limit keeps no sandbox out")
	release()

	total, available, err := admission.HostMemory()
	require.NoError(t, err)
	const scarce = 5 // less than a fourth part is left
	filler, err := unix.Mmap(-1, 0, int(available-min(available-1, total/scarce)), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(filler)) })
	var pressed *admission.PressureError
	require.Eventually(t, func() bool {
		release, err := m.admission.Admit(admission.Size{VCPUCount: 1, MemoryMiB: 32})
		if err == nil {
			release()
		}
		return errors.As(err, &pressed)
	}, patience, 100*time.Millisecond)
	require.ErrorIs(t, pressed, admission.ErrNoRoom)
	info, err := m.Get("waiting000")
	require.NoError(t, err)
	require.Equal(t, state.Running, info.State, "what runs, runs on")
	require.NoError(t, m.Kill(t.Context(), "waiting000", ""))
}

func TestWatchGuest_SaysThatAVMRanOutOfMemory(t *testing.T) {
	m, root := manage(t, admission.Bounds{})
	const most = 32 << 20
	limits := cgroup.Limits{MemoryHighBytes: most, MemoryMaxBytes: most}
	neighbour := runProcess(t, m, root, "neighbour0", limits, "while :; do sleep 1; done")
	hog := runProcess(t, m, root, "hog0000000", limits, `x=0123456789abcdef; while :; do x=$x$x; done`)
	require.Eventually(t, func() bool { return hog.info().State == state.Failed }, 30*time.Second, 10*time.Millisecond)
	require.Contains(t, hog.info().Reason, "out of memory (VMM ended: signal: killed); its disk could not be put away", "it had none")
	require.Positive(t, hog.info().Usage.CPU, "its total outlives it")
	require.NoDirExists(t, filepath.Join(root.Path(), "hog0000000"))
	require.Equal(t, state.Running, neighbour.info().State)
	require.NoError(t, m.Kill(t.Context(), "neighbour0", ""))
	require.Equal(t, "killed", neighbour.info().Reason)
}
