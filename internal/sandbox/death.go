package sandbox

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// watch keeps the sandbox's disk when its VM ends on its own, after the operation that is
// under way then.
func (s *sandbox) watch(g *guest.Guest) {
	s.host.tasks.Go(func() {
		select {
		case <-g.Done():
		case <-s.host.left:
			return
		}
		for {
			ctx, op, wait := s.beginAfterDeath(g)
			switch {
			case op != nil:
				op.keepDisk(ctx, op.guest.DeathReason())
				return
			case wait == nil:
				return // an operation has stopped it
			}
			select {
			case <-wait:
			case <-s.host.left:
				return
			}
		}
	})
}

// keepDisk pauses a sandbox whose VM has ended on its own, ended by the kernel or by the
// guest itself: its disk is as after a loss of power, and is kept like that of a pause
// without memory. Of a machine with layers it is as when the machine was started. When it cannot be, for want of room perhaps, the sandbox has failed; its
// disk stays where it is, and Retry or the next host agent tries again.
func (o *operation) keepDisk(ctx context.Context, reason string) {
	o.announce()
	earlier := o.record.Snapshot
	taken, err := o.snapshotDisk(ctx, reason)
	if err == nil {
		o.unkept = ""
		o.becomePaused(taken, earlier, reason)
		o.log().WarnContext(ctx, "a sandbox's VM ended; its disk is kept", "reason", reason)
		return
	}
	o.log().ErrorContext(ctx, "keep the disk of a sandbox whose VM ended", "reason", reason, "error", err)
	if err := o.freeGuest(); err != nil {
		o.log().ErrorContext(ctx, "free what a sandbox held whose VM ended", "error", err)
	}
	o.unkept = reason
	o.keeping.Failed()
	o.publish(state.Failed, o.host.withoutPaths(fmt.Sprintf("%s; its disk could not be put away yet: %v", reason, err)))
}

// snapshotDisk takes a snapshot of the live disk of a VM that has ended, and saves that
// the sandbox is paused with it.
func (o *operation) snapshotDisk(ctx context.Context, reason string) (*snapshot.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	manifest := o.record.Manifest()
	manifest.DiskOnly = true
	return o.savePaused(ctx, o.directory.Source(nil), manifest, reason)
}

// powerOff ends the VM of a running sandbox as a loss of power does, and keeps its disk.
func (s *sandbox) powerOff(reason string) error {
	ctx, op, err := s.begin(context.Background(), state.Pausing, "be switched off")
	if err != nil {
		return err
	}
	stop, cancel := context.WithTimeout(ctx, guest.StopTimeout)
	defer cancel()
	if err := op.guest.Stop(stop); err != nil {
		s.log().Warn("settle the disk of a sandbox that is switched off", "error", err)
	}
	err = op.guest.Kill(stop)
	op.keepDisk(ctx, reason)
	return err
}
