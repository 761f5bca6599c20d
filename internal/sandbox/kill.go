package sandbox

import (
	"context"
	"errors"
	"fmt"
)

// Kill ends a sandbox whatever it is doing and deletes everything it had.
// Killing one that is being killed waits for the end.
func (m *Manager) Kill(ctx context.Context, id string) error {
	s, err := m.find(id)
	if err != nil {
		return err
	}
	for {
		if err := s.interrupt(ctx); err != nil {
			return err
		}
		if s.info().State == Gone {
			return nil // a create was interrupted, or another kill was faster
		}
		_, op, err := s.begin(context.WithoutCancel(ctx), Killing, "be killed")
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			continue // another operation was quicker to begin: interrupt that one
		}
		if err != nil {
			return err
		}
		m.announce(s)
		return m.finishKill(op, "killed")
	}
}

// finishKill frees and deletes everything of a sandbox that is being killed.
func (m *Manager) finishKill(op *operation, reason string) error {
	s := op.sandbox
	if err := s.journal(); err != nil {
		s.logger(m.log).Warn("note that a sandbox is being killed", "error", err)
	}
	var stopErr error
	if s.guest != nil {
		stopErr = m.stopGuest(s, s.guest)
	}
	s.guest = nil
	forgetErr := m.forget(s)
	op.step(Gone, reason)
	m.announce(s)
	s.logger(m.log).Info("sandbox gone", "reason", reason)
	switch {
	case stopErr != nil:
		return fmt.Errorf("kill sandbox %s: %w", s.id, stopErr)
	case forgetErr != nil:
		return fmt.Errorf("kill sandbox %s: %w", s.id, forgetErr)
	default:
		return nil
	}
}

// watchGuest notices when a running sandbox's VM ends on its own.
func (m *Manager) watchGuest(s *sandbox) {
	machine := s.guest.machine
	m.tasks.Go(func() {
		select {
		case <-machine.Done():
		case <-m.left:
			return
		}
		if ctx, op := s.beginAfterDeath(machine); op != nil {
			m.keepAfterDeath(ctx, op)
		}
	})
}
