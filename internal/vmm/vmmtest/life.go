package vmmtest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// requireEnded wants a machine's end to be reported within noticeTimeout, with its
// reason, and every operation on it refused.
func requireEnded(t *testing.T, machine vmm.Machine) {
	t.Helper()
	select {
	case <-machine.Done():
	case <-time.After(noticeTimeout):
		t.Fatalf("the machine's end was not noticed within %s", noticeTimeout)
	}
	require.False(t, machine.Process().Runs())
	require.NotEmpty(t, machine.ExitReason())
	t.Log(machine.ExitReason())
	require.ErrorIs(t, machine.Pause(t.Context()), vmm.ErrNotRunning)
	require.ErrorIs(t, machine.Resume(t.Context()), vmm.ErrNotRunning)
}

func (s *suite) testKill(t *testing.T) {
	for _, paused := range []bool{false, true} {
		g := s.restore(t, s.base(t))
		if paused {
			g.pause(t)
		}
		machine := g.machine
		g.end(t)
		requireEnded(t, machine)
	}
}

func (s *suite) testDeath(t *testing.T) {
	g := s.restore(t, s.base(t))
	require.NoError(t, unix.Kill(g.machine.Process().ID, unix.SIGKILL))
	requireEnded(t, g.machine)
	require.Contains(t, g.machine.ExitReason(), "killed")
}

func (s *suite) testPowerOff(t *testing.T) {
	g := s.restore(t, s.base(t))
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	end := "echo b > /proc/sysrq-trigger"
	if s.layered { // there is no machine that the kernel could end; the first process's end is the guest's
		end = "kill -USR1 1"
	}
	g.run(t, "(sleep 0.1; "+end+") >/dev/null 2>&1 </dev/null & disown")
	select {
	case <-g.machine.Done():
	case <-ctx.Done():
		t.Fatal("the guest rebooted and its machine runs on")
	}
	requireEnded(t, g.machine)
}

func (s *suite) testAdopt(t *testing.T) {
	for _, paused := range []bool{false, true} {
		g := s.restore(t, s.base(t))
		sum := g.run(t, makeNoise)
		if paused {
			g.pause(t)
		}
		process := g.machine.Process()
		g.machine.Release()
		g.machine = nil
		require.True(t, process.Runs(), "a released machine runs on")
		machine, err := s.driver.Adopt(t.Context(), g.spec, g.memoryPath, process)
		if err != nil {
			require.NoError(t, process.End(t.Context()))
		}
		g.owns(t, machine, err)
		require.Equal(t, process, machine.Process())
		if paused {
			require.False(t, g.answers(t.Context()), "adopting a paused machine resumed it")
			g.resume(t)
		}
		require.Equal(t, sum, g.run(t, sumNoise))
		g.pause(t)
		taken := s.snapshot(t, g)
		g.end(t)
		g = s.restore(t, taken)
		require.Equal(t, sum, g.run(t, sumNoise), "changes from before the adoption are not in the snapshot")
		g.end(t)
	}
	g := s.restore(t, s.base(t))
	process := g.machine.Process()
	g.machine.Release()
	machine, err := s.driver.Adopt(t.Context(), g.spec, g.memoryPath, process)
	require.NoError(t, err)
	g.machine = machine
	require.NoError(t, unix.Kill(process.ID, unix.SIGKILL))
	requireEnded(t, machine)
}

func (s *suite) testAdoptEnded(t *testing.T) {
	g := s.restore(t, s.base(t))
	process := g.machine.Process()
	g.machine.Release()
	g.machine = nil
	require.NoError(t, process.End(t.Context()))
	_, err := s.driver.Adopt(t.Context(), g.spec, g.memoryPath, process)
	require.ErrorIs(t, err, vmm.ErrNotRunning)
	_, err = s.driver.Adopt(t.Context(), g.spec, g.memoryPath, vmm.Process{ID: unix.Getpid(), Start: process.Start})
	require.ErrorIs(t, err, vmm.ErrNotRunning, "another process with its number")
}

func (s *suite) testProcesses(t *testing.T) {
	g := s.restore(t, s.base(t))
	for directory, want := range map[string][]vmm.Process{
		s.dir:                         {g.machine.Process()},
		filepath.Dir(g.spec.DiskPath): {g.machine.Process()},
		filepath.Dir(g.spec.DiskPath)[:len(filepath.Dir(g.spec.DiskPath))-1]: nil,
		t.TempDir(): nil,
	} {
		found, err := s.driver.Processes(directory)
		require.NoError(t, err)
		require.ElementsMatch(t, want, found, directory)
	}
	g.end(t)
	found, err := s.driver.Processes(s.dir)
	require.NoError(t, err)
	require.Empty(t, found)
}
