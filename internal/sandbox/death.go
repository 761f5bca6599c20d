package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// watchGuest notices when a sandbox's VM ends on its own, whoever works on the
// sandbox meanwhile.
func (m *Manager) watchGuest(s *sandbox, machine vmm.Machine) {
	m.tasks.Go(func() {
		select {
		case <-machine.Done():
		case <-m.left:
			return
		}
		for {
			ctx, op, wait := s.beginAfterDeath(machine)
			switch {
			case op != nil:
				m.keepAfterDeath(ctx, op, s.guest.deathReason())
				return
			case wait == nil:
				return // somebody else has stopped it
			}
			select {
			case <-wait:
			case <-m.left:
				return
			}
		}
	})
}

// keepAfterDeath puts a sandbox away whose VM ended on its own, killed by the
// kernel or by the guest itself: its disk is as after a loss of power, and is
// kept like that of a pause without memory. Where it cannot be, for want of room
// perhaps, the sandbox has failed and its disk stays where it is for the tender,
// or the next agent, to try again.
func (m *Manager) keepAfterDeath(ctx context.Context, op *operation, reason string) {
	s := op.sandbox
	m.announce(s)
	earlier := s.record.Snapshot
	taken, err := s.keepDisk(ctx, reason)
	if err == nil {
		s.salvage = ""
		m.keepPaused(op, taken, earlier, reason)
		s.logger(m.log).Warn("a sandbox's VM ended; its disk is kept", "reason", reason)
		return
	}
	s.logger(m.log).Error("keep the disk of a sandbox whose VM ended", "reason", reason, "error", err)
	if s.guest != nil {
		if err := m.freeGuest(s, s.guest); err != nil {
			s.logger(m.log).Error("free what a sandbox held whose VM ended", "error", err)
		}
	}
	s.guest, s.salvage = nil, reason
	s.salvages.failed()
	m.publish(op, Failed, m.withoutPaths(fmt.Sprintf("%s; its disk could not be put away yet: %v", reason, err)))
}

// keepDisk makes a snapshot of the live disk of a VM that has ended.
func (s *sandbox) keepDisk(ctx context.Context, reason string) (*snapshot.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	manifest := s.manifest()
	manifest.DiskOnly = true
	return s.writeDown(ctx, snapshot.Source{DiskPath: s.diskPath()}, manifest, reason)
}

// salvageDisk tries again what keepAfterDeath could not do.
func (m *Manager) salvageDisk(s *sandbox) {
	ctx, op, err := s.begin(context.Background(), Pausing, "be put away")
	if err != nil {
		return // somebody kills it
	}
	m.keepAfterDeath(ctx, op, s.salvage)
}

// powerOff ends the VM of a running sandbox as a loss of power does, and keeps its
// disk.
func (m *Manager) powerOff(s *sandbox, reason string) error {
	ctx, op, err := s.begin(context.Background(), Pausing, "be put away")
	if err != nil {
		return err
	}
	stop, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.guest.machine.Pause(stop); err != nil { // which would settle its disk
		s.logger(m.log).Warn("settle the disk of a sandbox that is put away", "error", err)
	}
	err = s.guest.machine.Kill(stop)
	m.keepAfterDeath(ctx, op, reason)
	return err
}

// keepFound is keepAfterDeath for a VM that ended while no agent was there. It
// may never have run, or have left no disk: then it is as it was before.
func (m *Manager) keepFound(ctx context.Context, s *sandbox, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.record.Process.End(ctx); err != nil {
		return err
	}
	s.record.running = running{}
	earlier := s.record.Snapshot
	_, err := s.keepDisk(ctx, cause.Error())
	switch {
	case errors.Is(err, os.ErrNotExist) && earlier == "":
		s.logger(m.log).Warn("sandbox did not live through the host agent's absence and is gone", "error", cause)
		return os.RemoveAll(s.dir)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		s.salvage = cause.Error()
		m.keepFailed(s, fmt.Errorf("%w; its disk could not be put away yet: %w", cause, err))
		return nil
	}
	s.logger(m.log).Warn("a sandbox's VM ended while no host agent was there; its disk is kept", "error", cause)
	m.takePaused(s)
	return nil
}
