package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// keepAfterDeath puts a sandbox away whose VM ended on its own, killed by the
// kernel or by the guest itself: its disk is as after a loss of power, and is
// kept like that of a pause without memory. Where it cannot be kept, the
// sandbox is gone.
func (m *Manager) keepAfterDeath(ctx context.Context, op *operation) {
	s := op.sandbox
	m.announce(s)
	reason := s.guest.deathReason()
	old := s.base
	taken, err := s.keepDisk(ctx)
	if err != nil {
		s.logger(m.log).Error("keep the disk of a sandbox whose VM ended", "reason", reason, "error", err)
		op.step(Killing, reason)
		if err := m.finishKill(op, reason); err != nil {
			s.logger(m.log).Error("clear away a sandbox whose VM ended", "error", err)
		}
		return
	}
	s.base = taken
	if err := m.stopGuest(s, s.guest); err != nil {
		s.logger(m.log).Error("free what a sandbox held whose VM ended", "error", err)
	}
	s.guest = nil
	s.secrets.Set(egress.SecretValues{})
	m.removeOwned(s, old)
	op.step(Paused, reason)
	if err := s.journal(); err != nil {
		s.logger(m.log).Error("note why a sandbox's VM ended", "error", err)
	}
	m.announce(s)
	s.logger(m.log).Warn("a sandbox's VM ended; its disk is kept", "reason", reason)
}

// keepDisk makes a snapshot of the live disk of a VM that has ended.
func (s *sandbox) keepDisk(ctx context.Context) (*snapshot.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	return s.writeDown(ctx, snapshot.Source{DiskPath: s.diskPath()}, true)
}

// keepFound is keepAfterDeath for a VM that ended while no agent was there. It
// may never have run, or have left no disk: then it is as it was before.
func (m *Manager) keepFound(ctx context.Context, s *sandbox, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.record.Process.End(ctx); err != nil {
		return err
	}
	earlier := s.record.Snapshot
	if _, err := s.keepDisk(ctx); errors.Is(err, os.ErrNotExist) && earlier == "" {
		s.logger(m.log).Warn("sandbox did not live through the host agent's absence and is gone", "error", cause)
		return os.RemoveAll(s.dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.addFailed(s, fmt.Errorf("keep its disk after its VM ended: %w", err))
		return nil
	}
	s.logger(m.log).Warn("a sandbox's VM ended while no host agent was there; its disk is kept", "error", cause)
	s.record.Reason = cause.Error()
	return m.takePaused(s)
}
