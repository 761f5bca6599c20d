package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// killTimeout bounds how long the operation under way may take to stop.
const killTimeout = time.Minute

// Kill ends a sandbox in any state and deletes everything it had. Killing one that is
// being killed waits for the end. It goes on when ctx is cancelled: an operation that was
// interrupted must not be left unfinished.
func (m *Manager) Kill(ctx context.Context, id, requestID string) error {
	_, err := request.Once(ctx, &m.requests, request.Key{Call: "kill", SandboxID: id, RequestID: requestID}, func() (struct{}, error) {
		s, err := m.host.find(id)
		if err != nil {
			return struct{}{}, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
		defer cancel()
		return struct{}{}, s.kill(ctx)
	})
	return err
}

func (s *sandbox) kill(ctx context.Context) error {
	s.doom()
	for {
		if err := s.interrupt(ctx); err != nil {
			return err
		}
		if s.info().State == state.Gone {
			return nil // a create was interrupted, or another kill was faster
		}
		_, op, err := s.begin(ctx, state.Killing, "be killed")
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			continue // another kill has begun: wait for it
		}
		if err != nil {
			return err
		}
		op.announce()
		return op.kill("killed")
	}
}

// doom prevents every operation but a kill from beginning.
func (s *sandbox) doom() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.doomed = true
}

// kill frees and deletes everything of a sandbox that is being killed.
func (o *operation) kill(reason string) error {
	if err := o.journal(); err != nil {
		o.log().Warn("save that a sandbox is being killed", "error", err)
	}
	err := errors.Join(o.stopGuest(), o.forget())
	o.publish(state.Gone, reason)
	o.log().Info("sandbox gone", "reason", reason)
	if err != nil {
		return fmt.Errorf("kill sandbox %s: %w", o.id, err)
	}
	return nil
}
