package sandbox

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// guard keeps the last room of the host's disks for what must not fail: pauses,
// records, the database. A guest that writes when little is left stands still
// until there is more; the others run on. Without it, one guest's writes would
// fail everybody's; and a file system in a file, on a disk that others fill, would
// lose writes that it has acknowledged.
type guard struct {
	manager *Manager
}

const (
	// guardEvery is how often room is looked at.
	guardEvery = 500 * time.Millisecond
	// lately is how far back a guest's writes count, and muchWritten how many.
	lately      = 3 * time.Second
	muchWritten = 1 << 20 // bytes
)

// What is left of the reserve when guests that write are stopped, and when they
// are let go on again: half of it, and three quarters.
func (a Admission) marks() (low, high uint64) {
	const parts, lowParts, highParts = 4, 2, 3
	return a.DiskReserveBytes / parts * lowParts, a.DiskReserveBytes / parts * highParts
}

// look stops guests or lets them go on, by the room that is left.
func (g guard) look(ctx context.Context) {
	low, high := g.manager.admission.marks()
	if low == 0 {
		return
	}
	free, err := leastFree(g.manager.admission.Directories)
	if err != nil {
		g.manager.log.Error("look at the room on the host's disks", "error", err)
		return
	}
	for _, s := range g.manager.all() {
		held, runs := s.isHeld()
		switch {
		case !runs || ctx.Err() != nil:
		case !held && free < low && s.wroteSince(time.Now().Add(-lately)) > muchWritten:
			g.hold(ctx, s, free)
		case held && free >= high:
			g.release(ctx, s)
		}
	}
}

// leastFree is the room on that of several directories' disks that has the least,
// in bytes.
func leastFree(directories []string) (uint64, error) {
	least := ^uint64(0)
	for _, directory := range directories {
		_, free, err := disk.Usage(directory)
		if err != nil {
			return 0, err
		}
		least = min(least, free)
	}
	return least, nil
}

func (s *sandbox) isHeld() (held, runs bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.record.State != Running {
		return false, false
	}
	return s.guest.held, true
}

// wroteSince is how many bytes its VM has written to the host's disks.
func (s *sandbox) wroteSince(at time.Time) uint64 {
	samples := s.history.after(at, false)
	if len(samples) == 0 {
		return 0
	}
	return samples[len(samples)-1].Counters.DiskWrittenBytes - samples[0].Counters.DiskWrittenBytes
}

func (g guard) hold(ctx context.Context, s *sandbox, free uint64) {
	_, op, err := s.begin(ctx, Updating, "stand still")
	if err != nil {
		return // somebody works on it now
	}
	if err = s.guest.machine.Pause(ctx); err == nil {
		s.guest.held = true
	}
	g.manager.publish(op, Running, "")
	s.logger(g.manager.log).Warn("a sandbox that writes stands still: the host's disk is nearly full", "freeMiB", free>>20, "error", err)
}

func (g guard) release(ctx context.Context, s *sandbox) {
	_, op, err := s.begin(ctx, Updating, "go on")
	if err != nil {
		return // somebody works on it now
	}
	err = s.guest.unhold(ctx)
	g.manager.publish(op, Running, "")
	s.logger(g.manager.log).Info("a sandbox that stood still goes on: the host's disk has room again", "error", err)
}

// unhold lets a guest go on that was held, if it was.
func (g *guest) unhold(ctx context.Context) error {
	if !g.held {
		return nil
	}
	if err := g.machine.Resume(ctx); err != nil {
		return err
	}
	g.held = false
	return nil
}
