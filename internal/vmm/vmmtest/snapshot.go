package vmmtest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// makeNoise and makeZero fill 8 MB of memory, and sumNoise prints their checksum.
const (
	makeNoise = "head -c 8000000 /dev/urandom > /dev/shm/noise; sha256sum < /dev/shm/noise"
	makeZero  = "head -c 8000000 /dev/zero | dd of=/dev/shm/noise conv=notrunc status=none; sha256sum < /dev/shm/noise"
	sumNoise  = "sha256sum < /dev/shm/noise"
)

// testSnapshotOfRestored snapshots and restores twice. Pages that became zero are
// changes, too.
func (s *suite) testSnapshotOfRestored(t *testing.T) {
	from := s.base(t)
	for _, change := range []string{makeNoise, makeZero} {
		g := s.restore(t, from)
		sum := g.run(t, change)
		g.run(t, "echo '"+sum+"' > "+diskSign+"; sync")
		g.pause(t)
		taken := s.snapshot(t, g)
		g.end(t)

		again := s.restore(t, taken)
		require.Equal(t, sum, again.run(t, sumNoise))
		require.Equal(t, sum, again.run(t, "cat "+diskSign))
		require.Equal(t, "booted", again.run(t, "cat "+memorySign))
		again.requireCounting(t, again.count(t))
		again.end(t)
		from = taken
	}
	s.requireSparse(t, from.MemoryPath)
}

// testSnapshotAgain takes two snapshots of one running machine: each must hold all
// changes since the machine's start, not since the snapshot before.
func (s *suite) testSnapshotAgain(t *testing.T) {
	g := s.restore(t, s.base(t))
	first := g.run(t, makeNoise)
	g.pause(t)
	early := s.snapshot(t, g)
	opened := len(g.descriptors(t))
	g.resume(t)
	require.Equal(t, first, g.run(t, sumNoise))
	g.run(t, "echo later > /dev/shm/later; sync")
	g.pause(t)
	late := s.snapshot(t, g)
	// runsc closes a snapshot's files just after it has answered.
	require.Eventually(t, func() bool { return len(g.descriptors(t)) <= opened }, noticeTimeout, time.Millisecond,
		"each snapshot leaves the VMM with another file open")
	g.end(t)

	g = s.restore(t, early)
	require.Equal(t, first, g.run(t, sumNoise))
	g.run(t, "test ! -e /dev/shm/later")
	g.end(t)
	g = s.restore(t, late)
	require.Equal(t, first, g.run(t, sumNoise), "the first snapshot's changes are not in the second")
	require.Equal(t, "later", g.run(t, "cat /dev/shm/later"))
}

// testSnapshotOfBootedAgain is testSnapshotAgain of a booted machine, whose memory may
// be no file's.
func (s *suite) testSnapshotOfBootedAgain(t *testing.T) {
	g := s.bootGuest(t)
	sum := g.run(t, makeNoise)
	g.pause(t)
	_ = s.snapshot(t, g)
	g.resume(t)
	g.run(t, "echo later > /dev/shm/later; sync")
	g.pause(t)
	late := s.snapshot(t, g)
	g.end(t)

	g = s.restore(t, late)
	require.Equal(t, sum, g.run(t, sumNoise), "the first snapshot's memory is not in the second")
	require.Equal(t, "later", g.run(t, "cat /dev/shm/later"))
}

func (s *suite) testSnapshotFails(t *testing.T) {
	g := s.restore(t, s.base(t))
	sum := g.run(t, makeNoise)
	g.pause(t)
	nowhere := filepath.Join(s.directory(t), "missing")
	require.Error(t, g.machine.Snapshot(t.Context(), vmm.State{
		MemoryPath: filepath.Join(nowhere, "memory"), DevicesPath: filepath.Join(nowhere, "devices"),
	}))
	wrong := storedIn(s.directory(t))
	require.NoError(t, disk.Clone(g.memoryPath, wrong.MemoryPath))
	wrong.DevicesPath = filepath.Join(nowhere, "devices")
	require.Error(t, g.machine.Snapshot(t.Context(), wrong.State))
	g.resume(t)
	require.Equal(t, sum, g.run(t, sumNoise))

	g.pause(t)
	taken := s.snapshot(t, g)
	g.end(t)
	g = s.restore(t, taken)
	require.Equal(t, sum, g.run(t, sumNoise), "what the failed snapshot took is not in the next")
}
