package vmmtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func (g *guest) count(t *testing.T) int {
	t.Helper()
	number, err := strconv.Atoi(g.run(t, "cat "+counter))
	require.NoError(t, err)
	return number
}

// requireCounting waits until the guest's own process has counted on.
func (g *guest) requireCounting(t *testing.T, from int) {
	t.Helper()
	for deadline := time.Now().Add(answerTimeout); g.count(t) <= from; {
		require.Less(t, time.Now(), deadline, "the guest's process does not count on from %d", from)
	}
}

func (s *suite) testPause(t *testing.T) {
	g := s.restore(t, s.base(t))
	g.pause(t)
	require.NoError(t, g.machine.Pause(t.Context()), "pausing twice is fine")
	require.False(t, g.answers(t.Context()), "a paused guest answers")
	g.resume(t)
	g.requireCounting(t, g.count(t))
}

// testPauseAbandoned pauses with a context that ends first. Whether the pause was
// carried out is then unknown, and the machine must still obey.
func (s *suite) testPauseAbandoned(t *testing.T) {
	g := s.restore(t, s.base(t))
	process := g.machine.Process().ID
	require.NoError(t, unix.Kill(process, unix.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, g.machine.Pause(ctx), context.DeadlineExceeded)
	require.NoError(t, unix.Kill(process, unix.SIGCONT))
	g.resume(t)
	g.requireCounting(t, g.count(t))
	g.pause(t)
	taken := s.snapshot(t, g)
	g.end(t)
	require.Equal(t, "booted", s.restore(t, taken).run(t, "cat "+memorySign))
}

func (s *suite) testRestore(t *testing.T) {
	g := s.restore(t, s.base(t))
	require.Equal(t, "booted", g.run(t, "cat "+memorySign))
	require.Equal(t, "booted", g.run(t, "cat "+diskSign))
	g.run(t, "kill -0 $(cat /dev/shm/pid)")
	g.requireCounting(t, g.count(t))
	g.run(t, "echo changed > "+diskSign+" && sync"+s.forget())
	require.Equal(t, "changed", g.run(t, "cat "+diskSign))
}

// forget continues a command that has the guest's kernel forget what it knows of the disk,
// where it reads a disk.
func (s *suite) forget() string {
	if s.layered {
		return ""
	}
	return " && echo 3 > /proc/sys/vm/drop_caches"
}

func (s *suite) testSnapshotUnchanged(t *testing.T) {
	before := hashes(t, s.base(t))
	g := s.restore(t, s.base(t))
	g.requireMemoryIsReadOnly(t)
	g.run(t, "head -c 20000000 /dev/urandom > /dev/shm/noise; cp /dev/shm/noise /root/noise; sync")
	g.pause(t)
	g.end(t)
	require.Equal(t, before, hashes(t, s.base(t)))
}

func hashes(t *testing.T, r stored) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, path := range []string{r.MemoryPath, r.DevicesPath} {
		file, err := os.Open(path)
		require.NoError(t, err)
		sum := sha256.New()
		_, err = io.Copy(sum, file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		found[path] = hex.EncodeToString(sum.Sum(nil))
	}
	return found
}

func (s *suite) testClones(t *testing.T) {
	var clones []*guest
	for i := range 3 {
		g := s.restore(t, s.base(t))
		require.Equal(t, "booted", g.run(t, "cat "+memorySign+"; rm "+memorySign), "another clone's memory")
		require.Equal(t, "booted", g.run(t, "cat "+diskSign), "another clone's disk")
		g.run(t, "echo "+strconv.Itoa(i)+" | tee "+memorySign+" > "+diskSign+"; sync")
		g.pause(t) // one at a time uses the CPU
		clones = append(clones, g)
	}
	for i, g := range clones {
		g.resume(t)
		require.Equal(t, strconv.Itoa(i), g.run(t, "cat "+memorySign))
		g.run(t, "true"+s.forget())
		require.Equal(t, strconv.Itoa(i), g.run(t, "cat "+diskSign))
		g.pause(t)
	}
}

func (s *suite) testRestoreRefusals(t *testing.T) {
	for _, refused := range []struct {
		name  string
		spoil func(t *testing.T, g *guest, from *vmm.State)
	}{
		{"MissingMemory", func(_ *testing.T, _ *guest, from *vmm.State) { from.MemoryPath += "-missing" }},
		{"TruncatedMemory", func(t *testing.T, g *guest, from *vmm.State) {
			t.Helper()
			from.MemoryPath = g.memoryPath + "-truncated"
			require.NoError(t, disk.Clone(s.base(t).MemoryPath, from.MemoryPath))
			whole, err := os.Stat(from.MemoryPath)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(from.MemoryPath, whole.Size()-4096))
		}},
		{"MissingDevices", func(_ *testing.T, _ *guest, from *vmm.State) { from.DevicesPath += "-missing" }},
		{"EmptyDevices", spoilDevices(func([]byte) []byte { return nil })},
		{"TruncatedDevices", spoilDevices(func(content []byte) []byte { return content[:len(content)/2] })},
		{"DevicesOfNoise", spoilDevices(func(content []byte) []byte {
			_, _ = rand.Read(content) // never fails
			return content
		})},
		{"MissingDisk", func(t *testing.T, g *guest, _ *vmm.State) {
			t.Helper()
			require.NoError(t, os.Remove(g.spec.DiskPath))
		}},
		{"MissingNetworkNamespace", func(_ *testing.T, g *guest, _ *vmm.State) { g.spec.NetworkNamespace += "-missing" }},
		{"OtherDriver", func(_ *testing.T, _ *guest, from *vmm.State) { from.MadeBy.Driver = "another" }},
		{"OtherAccelerator", func(_ *testing.T, _ *guest, from *vmm.State) { from.MadeBy.Accelerator = "another" }},
		{"OtherMemorySize", func(_ *testing.T, g *guest, _ *vmm.State) { g.spec.MemoryMiB *= 2 }},
	} {
		t.Run(refused.name, func(t *testing.T) {
			g := s.prepare(t, s.base(t).diskPath)
			from := s.base(t).State
			refused.spoil(t, g, &from)
			ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
			defer cancel()
			machine, err := s.driver.Restore(ctx, g.spec, from)
			s.requireRefusal(t, g, machine, err)
			require.NoError(t, ctx.Err(), "the refusal came by timeout only")
		})
	}
}

// spoilDevices replaces the record of devices by a changed copy.
func spoilDevices(spoil func([]byte) []byte) func(*testing.T, *guest, *vmm.State) {
	return func(t *testing.T, g *guest, from *vmm.State) {
		t.Helper()
		content, err := os.ReadFile(from.DevicesPath)
		require.NoError(t, err)
		from.DevicesPath = g.memoryPath + "-devices"
		require.NoError(t, os.WriteFile(from.DevicesPath, spoil(content), 0o600))
	}
}

func (s *suite) testRestoreCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := s.prepare(t, s.base(t).diskPath)
	machine, err := s.driver.Restore(ctx, g.spec, s.base(t).State)
	s.requireRefusal(t, g, machine, err)
	require.ErrorIs(t, err, context.Canceled)
}
