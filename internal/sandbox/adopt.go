package sandbox

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// adoptTimeout bounds one attempt to adopt a VM.
	adoptTimeout = 10 * time.Second
	// adoptPatience is for how long attempts are repeated, adoptEvery how often.
	adoptPatience = 2 * time.Minute
	adoptEvery    = time.Second
)

// adopt takes over a sandbox whose VM ran on without a host agent. One that was being
// paused or snapshotted runs on: that was never acknowledged. A VM that cannot be taken
// over now, on a host that is short of everything perhaps, is tried again in the
// background; only the disk of one that has ended is kept.
func (o *operation) adopt(ctx context.Context, interrupted bool) error {
	err := o.takeOver(ctx)
	switch {
	case err == nil:
		o.publishAdopted(interrupted)
		return nil
	case errors.Is(err, vmm.ErrNotRunning):
		o.letGo()
		return o.keepFound(ctx, err)
	case ctx.Err() != nil:
		o.letGo()
		return ctx.Err() // the VM runs on for the next agent
	}
	o.log().WarnContext(ctx, "a sandbox cannot be taken over yet", "error", err)
	adopting, op := o.enter(context.WithoutCancel(ctx), state.Resuming)
	o.host.keep(o.sandbox)
	o.host.tasks.Go(func() { op.retryAdoption(adopting, interrupted, err) })
	return nil
}

// takeOver finds everything that the VM holds of the host. After an error it can be
// called again; what it has found it does not look for again.
func (o *operation) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	if o.guest == nil {
		o.guest = guest.NewAdopted(o.adoptedSpec(), o.record.Running, o.guestIdentity(o.record.LifecycleID))
	}
	if err := o.host.guests.Adopt(ctx, o.guest, o.record.Running); err != nil {
		return err
	}
	o.adoptMeter()
	o.host.guests.Restore(ctx, o.guest)
	if err := o.directory.KeepRunning(o.record.Snapshot); err != nil {
		o.log().ErrorContext(ctx, "clear away what a crash left", "error", err)
	}
	return nil
}

// adoptedSpec is guestSpec with a policy in any case: the one in force is not known.
func (o *operation) adoptedSpec() guest.Spec {
	spec, err := o.guestSpec()
	if err == nil && spec.Policy == nil {
		spec.Policy, err = o.policy()
	}
	if err != nil {
		o.log().Error("restore the network policy of a sandbox", "error", err)
	}
	return spec
}

// adoptMeter continues to measure where the earlier host agent began.
func (o *operation) adoptMeter() {
	start := o.record.Meter
	if start.At.IsZero() { // the record of an agent that did not measure
		start.At = o.record.StartedAt
	}
	adopted := meter.Adopt(o.guest.Meter(), o.record.Usage, start)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.meter = adopted
}

// letGo forgets what takeOver has found, and leaves it as it is.
func (s *sandbox) letGo() {
	if s.guest != nil {
		s.guest.LetGo()
		s.guest = nil
	}
}

// publishAdopted publishes a sandbox that was taken over at once. An interrupted pause is
// undone in the background: the guest may take long to answer, and other sandboxes need
// not wait for it.
func (o *operation) publishAdopted(interrupted bool) {
	ctx, op := o.enter(context.Background(), state.Resuming)
	o.host.keep(o.sandbox)
	if !interrupted {
		op.publish(state.Running, "")
		return
	}
	o.host.tasks.Go(func() { op.undoInterrupted(ctx) })
}

// undoInterrupted lets a guest run on whose pause or snapshot was interrupted by the end
// of the host agent.
func (o *operation) undoInterrupted(ctx context.Context) {
	err := o.undoPause(ctx, errors.New("the host agent ended meanwhile"), o.guest.WakeAfterPause)
	o.log().InfoContext(ctx, "a pause that was under way is undone", "result", err)
}

// retryAdoption tries to take over the VM until it can, the VM has ended, or patience or
// ctx has.
func (o *operation) retryAdoption(ctx context.Context, interrupted bool, err error) {
	patience, cancel := context.WithTimeout(ctx, adoptPatience)
	defer cancel()
	for err != nil && !errors.Is(err, vmm.ErrNotRunning) && patience.Err() == nil {
		select {
		case <-o.host.left:
			o.letGo()
			o.publish(state.Failed, "the host agent ended before it could take the sandbox over")
			return
		case <-patience.Done():
		case <-time.After(adoptEvery):
			err = o.takeOver(patience)
		}
	}
	switch {
	case err == nil && interrupted:
		o.undoInterrupted(ctx)
	case err == nil:
		o.publish(state.Running, "")
		o.log().InfoContext(ctx, "a sandbox is taken over at last")
	default:
		o.giveUpAdoption(err)
	}
}

// giveUpAdoption ends a VM whose monitor never answered, and keeps its disk.
func (o *operation) giveUpAdoption(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), pauseTimeout)
	defer cancel()
	if err := o.record.Process.End(ctx); err != nil {
		o.log().Error("end a VM that cannot be taken over", "error", err)
	}
	o.keepDisk(ctx, cause.Error())
}
