package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// Kill ends a sandbox whatever it is doing. Once the database has it as killing, the
// sandbox cannot be reached any more; if its host is away, Reconcile kills it there
// later, and Kill succeeds. Of many at once one kills it and the others wait for that.
func (s *Service) Kill(ctx context.Context, teamID uuid.UUID, sandboxID string) error {
	asked, err := s.getEver(ctx, teamID, sandboxID)
	if err != nil {
		return err
	}
	if asked.State == lifecycle.Killing {
		return s.awaitKill(ctx, asked)
	}
	return operation.Retry(ctx, func() error {
		sandbox, err := s.getEver(ctx, teamID, sandboxID)
		switch {
		case err != nil:
			return err
		case asked.State.Visible() && !sandbox.State.Visible():
			return s.awaitKill(ctx, sandbox) // by another
		case !sandbox.State.Visible():
			return notFound(sandboxID)
		}
		killing, err := s.begin(ctx, sandbox, lifecycle.Killing)
		if err != nil {
			return err
		}
		ctx, cancel := operation.Detach(ctx)
		defer cancel()
		s.finishKill(ctx, killing, "killed by its team")
		return nil
	})
}

// awaitKill waits for the end of a kill that another call has begun. Like Kill it
// succeeds where no process works on the kill any more, and when patience ends.
func (s *Service) awaitKill(ctx context.Context, sandbox rows.Sandbox) error {
	deadline, delay := time.Now().Add(s.patienceOrDefault()), firstLook
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	for sandbox.State == lifecycle.Killing && sandbox.Claimant != 0 && time.Now().Before(deadline) {
		if !operation.Wait(ctx, delay) {
			return ctx.Err()
		}
		delay = min(2*delay, longestLook)
		var err error
		if sandbox, err = s.getEver(ctx, sandbox.TeamID, sandbox.ID); err != nil {
			return err
		}
	}
	return nil
}

// finishKill does the work of a kill that has been claimed.
func (s *Service) finishKill(ctx context.Context, killing rows.Sandbox, reason string) {
	if err := s.Hosts.Agent(killing.HostID).KillSandbox(ctx, killing.ID); err != nil {
		s.Log.Error("kill a sandbox, will try again", "sandbox", killing.ID, "error", err)
		s.release(context.WithoutCancel(ctx), killing)
		return
	}
	if _, err := s.transition(ctx, killing, lifecycle.Killed, reason); err != nil {
		s.Log.Error("record that a sandbox is killed", "sandbox", killing.ID, "error", err)
	}
}
