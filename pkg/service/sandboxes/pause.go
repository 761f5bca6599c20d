package sandboxes

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// Pause pauses a running sandbox, also when the client disconnects meanwhile. Of
// concurrent calls one pauses it and the others wait. It returns Conflict for a sandbox
// that is paused already.
func (s *Service) Pause(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandbox.Pause) error {
	asked, err := s.Get(ctx, teamID, sandboxID)
	if err != nil {
		return err
	}
	if asked.State == sandbox.Paused {
		return wrongState(asked)
	}
	return s.whenSettled(ctx, teamID, sandboxID, func(found sandbox.Sandbox) error {
		switch {
		case found.State == sandbox.Running:
			if err := s.guard.BeforePause(ctx, Pausing{Sandbox: found, WithoutMemory: wanted.WithoutMemory}); err != nil {
				return err
			}
			return s.pause(ctx, found, wanted)
		case found.State == sandbox.Paused && found.WithoutMemory == wanted.WithoutMemory:
			return nil // paused by another call, which was waited for
		default:
			return wrongState(found)
		}
	})
}

func (s *Service) pause(ctx context.Context, running sandbox.Sandbox, wanted sandbox.Pause) error {
	pausing, err := s.claim(ctx, running, sandbox.Pausing, "")
	if err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	return s.finishPause(ctx, pausing, wanted)
}

// finishPause pauses a sandbox that was claimed for it.
func (s *Service) finishPause(ctx context.Context, pausing sandbox.Sandbox, wanted sandbox.Pause) error {
	// Stored before the host begins: a reader that finds the sandbox paused relies on it.
	if err := s.noteMemory(ctx, pausing, wanted.WithoutMemory); err != nil {
		_, err = s.afterFailure(ctx, pausing, err)
		return err
	}
	seen, err := s.hosts.Agent(pausing.HostID).PauseSandbox(ctx, pausing.ID, wanted)
	if err != nil {
		after, err := s.afterFailure(ctx, pausing, err)
		if after.State == sandbox.Paused {
			return nil
		}
		return err
	}
	_, err = s.move(ctx, pausing, store.Outcome{State: sandbox.Paused, GuestUnresponsive: seen.GuestUnresponsive})
	return s.overtaken(ctx, pausing, err)
}

// noteMemory stores whether the pause under way keeps memory.
func (s *Service) noteMemory(ctx context.Context, pausing sandbox.Sandbox, withoutMemory bool) error {
	if pausing.WithoutMemory == withoutMemory {
		return nil
	}
	return s.store.SetWithoutMemory(ctx, pausing, withoutMemory)
}
