package service

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// Kill ends a sandbox whatever it is doing. Once the database says so it is a
// promise: the sandbox cannot be reached any more, and if its host is away now
// Reconcile keeps the promise later.
func (s *Sandboxes) Kill(ctx context.Context, teamID uuid.UUID, sandboxID string) error {
	killing, err := s.begin(ctx, teamID, sandboxID, lifecycle.Killing)
	if err != nil {
		return err
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	s.finishKill(ctx, killing, "killed by its team")
	return nil
}

// finishKill does the work of a kill that has been claimed.
func (s *Sandboxes) finishKill(ctx context.Context, killing db.Sandbox, reason string) {
	if err := s.Hosts.Agent(killing.HostID).KillSandbox(ctx, killing.ID); err != nil {
		s.Log.Error("kill a sandbox, will try again", "sandbox", killing.ID, "error", err)
		s.release(context.WithoutCancel(ctx), killing)
		return
	}
	if _, err := s.transition(ctx, killing, lifecycle.Killed, reason); err != nil {
		s.Log.Error("record that a sandbox is killed", "sandbox", killing.ID, "error", err)
	}
}
