package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// killTimeout bounds how long whatever a sandbox is doing may take to stop.
const killTimeout = time.Minute

// Kill ends a sandbox whatever it is doing and deletes everything it had.
// Killing one that is being killed waits for the end. A caller that goes away
// does not stop it: what was interrupted is not to be left half-way.
func (m *Manager) Kill(ctx context.Context, id, requestID string) error {
	_, err := once(ctx, &m.requests, request{"kill", id, requestID}, func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
		defer cancel()
		return struct{}{}, m.kill(ctx, id)
	})
	return err
}

func (m *Manager) kill(ctx context.Context, id string) error {
	s, err := m.find(id)
	if err != nil {
		return err
	}
	s.doom()
	for {
		if err := s.interrupt(ctx); err != nil {
			return err
		}
		if s.info().State == Gone {
			return nil // a create was interrupted, or another kill was faster
		}
		_, op, err := s.begin(ctx, Killing, "be killed")
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			continue // another kill was quicker: it is waited for
		}
		if err != nil {
			return err
		}
		m.announce(s)
		return m.finishKill(op, "killed")
	}
}

// doom keeps every operation but a kill from beginning.
func (s *sandbox) doom() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.doomed = true
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
	m.publish(op, Gone, reason)
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
