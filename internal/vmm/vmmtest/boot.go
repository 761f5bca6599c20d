package vmmtest

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Files that the booted guest writes and every guest restored from it must have.
const (
	memorySign = "/dev/shm/sign" // a file system in memory
	diskSign   = "/root/sign"
	// counter is a file whose number a process raises ten times a second.
	counter = "/dev/shm/counter"
)

// startCounter starts a process that outlives the command.
const startCounter = "n=0; echo 0 > " + counter + "; (while :; do n=$((n+1)); echo $n > " + counter + ".new; mv " + counter + ".new " + counter + "; sleep 0.1; done) >/dev/null 2>&1 </dev/null & echo $! > /dev/shm/pid; disown"

func (s *suite) boot(t *testing.T, g *guest, kernelPath string) (vmm.Machine, error) {
	t.Helper()
	return s.driver.Boot(t.Context(), g.spec, vmm.Boot{
		MemoryPath: g.memoryPath, KernelPath: kernelPath, InitramfsPath: s.image.InitramfsPath,
		CommandLine: template.KernelCommandLine,
	})
}

// bootGuest boots a machine and waits until its agent answers.
func (s *suite) bootGuest(t *testing.T) *guest {
	t.Helper()
	g := s.prepare(t, s.rootfs)
	require.NoError(t, disk.CreateSparse(g.memoryPath, memoryMiB<<20))
	machine, err := s.boot(t, g, s.image.KernelPath)
	g.owns(t, machine, err)
	g.awaitAgent(t)
	return g
}

// console is a machine whose guest's console can be read.
type console interface {
	Console(ctx context.Context) (string, error)
}

// awaitAgent waits until the agent of a guest that boots answers, and initialises it.
func (g *guest) awaitAgent(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	err := g.envd.AwaitHealthy(ctx)
	if printed, can := g.machine.(console); err != nil && can {
		text, _ := printed.Console(t.Context())
		t.Log("the guest's console:", text)
	}
	require.NoError(t, err, "wait for the guest agent (%s)", g.machine.ExitReason())
	g.init(t)
}

func (s *suite) testBoot(t *testing.T) {
	t.Logf("driver %s, accelerator %s, capabilities %+v", s.driver.Name(), s.driver.Accelerator(), vmm.CapabilitiesOf(s.driver))
	s.requireSparse(t, s.base(t).MemoryPath)
}

// makeBase boots a machine, checks its guest and snapshots it.
func (s *suite) makeBase(t *testing.T) {
	t.Helper()
	g := s.bootGuest(t)
	require.True(t, g.machine.Process().Runs())
	require.Empty(t, g.machine.ExitReason())
	g.requireMemoryIsReadOnly(t)
	require.Equal(t, "1", g.run(t, "nproc"))
	require.Equal(t, "Linux", g.run(t, "uname"))
	g.run(t, "echo booted | tee "+memorySign+" > "+diskSign+"; sync; "+startCounter)
	g.pause(t)
	s.baseSnapshot = storedIn(s.directory(s.t))
	s.snapshotInto(t, g, s.baseSnapshot)
	g.end(t)
}

// requireSparse wants memory that the guest never used to take up no room.
func (s *suite) requireSparse(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if s.layered {
		require.Less(t, info.Size(), int64(memoryMiB<<20)/2, "memory that the guest never used is saved")
		return
	}
	require.EqualValues(t, memoryMiB<<20, info.Size())
	const blockBytes = 512 // the unit of st_blocks on every file system
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.Less(t, stat.Blocks*blockBytes, info.Size()*9/10, "memory that the guest never used takes up room")
	require.Positive(t, stat.Blocks)
}

func (s *suite) testBootRefusals(t *testing.T) {
	for _, refused := range []struct {
		name  string
		spoil func(t *testing.T, g *guest) (kernelPath string)
	}{
		{"Disk", func(t *testing.T, g *guest) string {
			t.Helper()
			require.NoError(t, os.Remove(g.spec.DiskPath))
			return s.image.KernelPath
		}},
		{"Kernel", func(_ *testing.T, g *guest) string { return filepath.Join(g.spec.RunDir, "missing") }},
		{"NetworkNamespace", func(_ *testing.T, g *guest) string {
			g.spec.NetworkNamespace += "-missing"
			return s.image.KernelPath
		}},
		{"TapDevice", func(_ *testing.T, g *guest) string {
			g.spec.TapDevice = "lo"
			return s.image.KernelPath
		}},
	} {
		t.Run(refused.name, func(t *testing.T) {
			if refused.name == "Kernel" && s.layered {
				t.Skip("the driver boots no kernel")
			}
			g := s.prepare(t, s.rootfs)
			require.NoError(t, disk.CreateSparse(g.memoryPath, memoryMiB<<20))
			machine, err := s.boot(t, g, refused.spoil(t, g))
			s.requireRefusal(t, g, machine, err)
		})
	}
}

// requireRefusal wants an error, no machine and nothing running.
func (s *suite) requireRefusal(t *testing.T, g *guest, machine vmm.Machine, err error) {
	t.Helper()
	if err == nil {
		g.owns(t, machine, nil)
	}
	require.Error(t, err)
	require.Nil(t, machine)
	t.Log(err)
	running, err := s.driver.Processes(filepath.Dir(g.spec.DiskPath))
	require.NoError(t, err)
	require.Empty(t, running)
}
