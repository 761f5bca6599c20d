package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// Kill kills a sandbox in any state. Once it is stored as killing, the sandbox cannot be
// reached any more; if its host cannot be reached, Reconcile kills it there later, and
// Kill succeeds. Of concurrent calls one kills it and the others wait.
func (s *Service) Kill(ctx context.Context, teamID uuid.UUID, sandboxID string) error {
	asked, err := s.getEver(ctx, teamID, sandboxID)
	if err != nil {
		return err
	}
	if asked.State.Visible() {
		if err := s.guard.BeforeKill(ctx, Killing{Sandbox: asked}); err != nil {
			return err
		}
	}
	return s.kill(ctx, asked)
}

// kill is Kill without the guard.
func (s *Service) kill(ctx context.Context, asked sandbox.Sandbox) error {
	if asked.State == sandbox.Killing {
		return s.awaitKill(ctx, asked)
	}
	return operation.Retry(ctx, func() error {
		found, err := s.getEver(ctx, asked.TeamID, asked.ID)
		switch {
		case err != nil:
			return err
		case asked.State.Visible() && !found.State.Visible():
			return s.awaitKill(ctx, found) // by another
		case !found.State.Visible():
			return notFound(asked.ID)
		}
		killing, err := s.claim(ctx, found, sandbox.Killing, sandbox.CauseKilled)
		if err != nil {
			return err
		}
		ctx, cancel := operation.Detach(ctx)
		defer cancel()
		s.finishKill(ctx, killing)
		return nil
	})
}

// awaitKill waits for the end of a kill that another call has begun. It succeeds too where
// that call has left the kill to Reconcile, and when patience ends.
func (s *Service) awaitKill(ctx context.Context, killing sandbox.Sandbox) error {
	deadline, delay := time.Now().Add(s.patienceOrDefault()), firstLook
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	for killing.State == sandbox.Killing && killing.Claimant != 0 && time.Now().Before(deadline) {
		if !wait.For(ctx, delay) {
			return ctx.Err()
		}
		delay = min(2*delay, longestLook)
		var err error
		if killing, err = s.getEver(ctx, killing.TeamID, killing.ID); err != nil {
			return err
		}
	}
	return nil
}

// finishKill does the work of a kill that has been claimed.
func (s *Service) finishKill(ctx context.Context, killing sandbox.Sandbox) {
	if err := s.hosts.Agent(killing.HostID).KillSandbox(ctx, killing.ID); err != nil {
		s.logger(killing).ErrorContext(ctx, "kill a sandbox, will try again", "error", err)
		s.release(context.WithoutCancel(ctx), killing)
		return
	}
	if _, err := s.move(ctx, killing, store.Outcome{State: sandbox.Killed}); err != nil {
		s.logger(killing).ErrorContext(ctx, "record that a sandbox is killed", "error", err)
	}
}
