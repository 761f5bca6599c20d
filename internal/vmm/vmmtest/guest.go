package vmmtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// bootTimeout and answerTimeout suit emulated guests on a busy host.
	bootTimeout   = 2 * time.Minute
	answerTimeout = 30 * time.Second
	// noticeTimeout is how soon a death must be known.
	noticeTimeout = time.Second
	memoryMiB     = 512
	layerMiB      = 128
)

// guest is a machine with its files, its network and the client of its agent.
type guest struct {
	machine    vmm.Machine
	spec       vmm.Spec
	memoryPath string
	slot       *network.Slot
	envd       *envdclient.Client
}

// stored is a snapshot and its disk, in a directory.
type stored struct {
	vmm.State
	diskPath string
}

func storedIn(directory string) stored {
	return stored{
		State:    vmm.State{MemoryPath: filepath.Join(directory, "memory"), DevicesPath: filepath.Join(directory, "devices")},
		diskPath: filepath.Join(directory, "disk"),
	}
}

// prepare makes what a machine is started with: a directory, a network and a clone of
// the disk, if one is given.
func (s *suite) prepare(t *testing.T, diskPath string) *guest {
	t.Helper()
	directory := s.directory(t)
	slot := s.acquire(t)
	g := &guest{
		slot: slot, envd: envdclient.New(slot.Address()), memoryPath: filepath.Join(directory, "memory"),
		spec: vmm.Spec{
			Name: filepath.Base(directory), RunDir: filepath.Join(directory, "run"), User: slot.User(), VCPUCount: 1, MemoryMiB: memoryMiB,
			DiskPath: filepath.Join(directory, "disk"), DirectoryPath: s.wrenn, DiskMiB: layerMiB, NetworkNamespace: slot.Namespace(),
			TapDevice: slot.GuestDevice(), GuestMAC: network.GuestMAC,
		},
	}
	require.NoError(t, os.Mkdir(g.spec.RunDir, 0o700))
	if diskPath != "" {
		s.shareDisk(t, diskPath, g.spec.DiskPath)
	}
	return g
}

// acquire waits for a network slot: making one fails while the kernel's list of links
// is incomplete, which it can be when others come and go.
func (s *suite) acquire(t *testing.T) *network.Slot {
	t.Helper()
	slot, err := s.network.Acquire(t.Context(), false)
	for deadline := time.Now().Add(answerTimeout); errors.Is(err, network.ErrNoSlots) && time.Now().Before(deadline); {
		slot, err = s.network.Acquire(t.Context(), false)
	}
	require.NoError(t, err)
	t.Cleanup(func() { s.network.Release(slot) })
	return slot
}

// owns takes over a machine that the driver returned, and ends it with the test.
func (g *guest) owns(t *testing.T, machine vmm.Machine, err error) {
	t.Helper()
	require.NoError(t, err)
	g.machine = machine
	t.Cleanup(func() { g.end(t) })
}

// end kills the machine, once.
func (g *guest) end(t *testing.T) {
	t.Helper()
	if g.machine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	require.NoError(t, g.machine.Kill(ctx))
	g.machine = nil
}

// restore starts a machine from a snapshot and waits until its agent answers.
func (s *suite) restore(t *testing.T, from stored) *guest {
	t.Helper()
	return s.restoreAs(t, from, func(*vmm.Spec) {})
}

// restoreAs is restore with a changed specification.
func (s *suite) restoreAs(t *testing.T, from stored, change func(*vmm.Spec)) *guest {
	t.Helper()
	g := s.prepare(t, from.diskPath)
	change(&g.spec)
	require.NoError(t, os.Link(from.MemoryPath, g.memoryPath))
	machine, err := s.driver.Restore(t.Context(), g.spec, vmm.State{MemoryPath: g.memoryPath, DevicesPath: from.DevicesPath})
	g.owns(t, machine, err)
	g.init(t)
	return g
}

// init initialises the agent after a start.
func (g *guest) init(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	_, err := g.envd.Init(ctx, "", envdclient.Init{DefaultUser: "root"})
	require.NoError(t, err)
}

// pause prepares the agent for a snapshot and pauses the machine.
func (g *guest) pause(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	require.NoError(t, g.envd.PrepareSnapshot(ctx, "", envdclient.Preparation{}))
	require.NoError(t, g.machine.Pause(t.Context()))
}

func (g *guest) resume(t *testing.T) {
	t.Helper()
	require.NoError(t, g.machine.Resume(t.Context()))
	g.init(t)
}

// snapshot snapshots a paused machine into a directory of its own.
func (s *suite) snapshot(t *testing.T, g *guest) stored {
	t.Helper()
	into := storedIn(s.directory(t))
	s.snapshotInto(t, g, into)
	return into
}

func (s *suite) snapshotInto(t *testing.T, g *guest, into stored) {
	t.Helper()
	require.NoError(t, disk.Clone(g.memoryPath, into.MemoryPath))
	s.shareDisk(t, g.spec.DiskPath, into.diskPath)
	require.NoError(t, g.machine.Snapshot(t.Context(), into.State))
	s.requireHasNoneOf(t, g, into)
}

// run runs a shell command in the guest and returns what it printed.
func (g *guest) run(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	stream, err := processconnect.NewProcessClient(g.envd.HTTPClient(), g.envd.BaseURL()).Start(ctx, connect.NewRequest(&process.StartRequest{
		Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", command}},
	}))
	require.NoError(t, err, command)
	defer stream.Close()
	var output strings.Builder
	ended := false
	for stream.Receive() {
		event := stream.Msg().GetEvent()
		output.Write(event.GetData().GetStdout())
		output.Write(event.GetData().GetStderr())
		if end := event.GetEnd(); end != nil {
			ended = true
			require.Zero(t, end.GetExitCode(), "%s: %s", command, output.String())
		}
	}
	require.NoError(t, stream.Err(), command)
	require.True(t, ended, "%s did not end", command)
	return strings.TrimSpace(output.String())
}

// answers reports whether the guest's agent answers within 300 ms.
func (g *guest) answers(ctx context.Context) bool {
	const moment = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	return g.envd.AwaitHealthy(ctx) == nil
}
