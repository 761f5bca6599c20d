package sandbox

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

const (
	// stalledTimeout bounds the answer of a VMM.
	stalledTimeout = 5 * time.Second
	// retryWakeTimeout bounds the answer of a guest that did not give one before.
	retryWakeTimeout = 2 * time.Second
)

// Retry makes one attempt at what has failed before, if that is due: it keeps the disk of
// a VM that has ended, wakes a guest whose agent did not answer, or lets a guest continue
// that its VMM has stopped for want of room.
func (s *sandbox) Retry(ctx context.Context) {
	switch keep, wake, stalled := s.retries(); {
	case keep:
		s.retryKeepDisk()
	case wake:
		s.retryWake(ctx)
	case stalled != nil:
		s.continueStalled(ctx, stalled)
	}
}

// retries says what to try: to keep the disk, to wake the guest, or to let this guest
// continue, which may be stalled.
func (s *sandbox) retries() (keep, wake bool, stalled *guest.Guest) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case s.record.State == state.Failed:
		return s.unkept != "" && s.keeping.IsDue(), false, nil
	case s.record.State == state.Running && !s.guest.Held():
		return false, s.guest.RetryIsDue(), s.guest
	default:
		return false, false, nil
	}
}

// retryKeepDisk tries again what keepDisk could not do.
func (s *sandbox) retryKeepDisk() {
	ctx, op, err := s.begin(context.Background(), state.Pausing, "be paused")
	if err != nil {
		return // it is being killed
	}
	op.keepDisk(ctx, op.unkept)
}

// retryWake tells the guest's agent what it did not answer to.
func (s *sandbox) retryWake(ctx context.Context) {
	ctx, op, err := s.begin(ctx, state.Updating, "be woken")
	if err != nil {
		return // another operation has begun
	}
	answer, cancel := context.WithTimeout(ctx, retryWakeTimeout)
	defer cancel()
	if err := op.guest.RetryPending(answer); err == nil {
		s.log().InfoContext(ctx, "a guest that did not answer is awake again")
	}
	op.settle(state.Running, "")
}

// continueStalled lets a guest continue that its VMM has stopped.
func (s *sandbox) continueStalled(ctx context.Context, g *guest.Guest) {
	ctx, cancel := context.WithTimeout(ctx, stalledTimeout)
	defer cancel()
	if stalled, err := g.Stalled(ctx); err != nil || !stalled {
		return // a VM that has ended has its own watcher
	}
	_, op, err := s.begin(ctx, state.Updating, "go on")
	if err != nil {
		return // another operation has begun
	}
	err = op.guest.Continue(ctx)
	op.publish(state.Running, "")
	s.log().WarnContext(ctx, "a sandbox stood still: the host has no room for what it writes", "continues", err == nil)
}

// Held reports whether the guest is held; runs is false unless the sandbox runs.
func (s *sandbox) Held() (held, runs bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.record.State != state.Running {
		return false, false
	}
	return s.guest.Held(), true
}

// WrittenSince is how many bytes the VM has written to the host's disks.
func (s *sandbox) WrittenSince(at time.Time) uint64 { return s.history.WrittenSince(at) }

// Hold stops the guest's virtual CPUs because the host's disk is nearly full.
func (s *sandbox) Hold(ctx context.Context, freeBytes uint64) {
	_, op, err := s.begin(ctx, state.Updating, "stand still")
	if err != nil {
		return // another operation has begun
	}
	err = op.guest.Hold(ctx)
	op.publish(state.Running, "")
	s.log().WarnContext(ctx, "a sandbox that writes stands still: the host's disk is nearly full", "freeMiB", freeBytes>>20, "error", err)
}

// Unhold lets a held guest continue.
func (s *sandbox) Unhold(ctx context.Context) {
	_, op, err := s.begin(ctx, state.Updating, "go on")
	if err != nil {
		return // another operation has begun
	}
	err = op.guest.Unhold(ctx)
	op.publish(state.Running, "")
	s.log().InfoContext(ctx, "a sandbox that stood still goes on: the host's disk has room again", "error", err)
}
