package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// SetTimeout ends a running sandbox after a time from now, later or sooner than before.
func (s *Service) SetTimeout(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error {
	lifetime, err := validate.Timeout("timeout", seconds, s.options.MaxTimeout)
	if err != nil {
		return err
	}
	return s.whenSettled(ctx, teamID, sandboxID, func(found sandbox.Sandbox) error {
		if found.State != sandbox.Running {
			return notRunning(sandboxID)
		}
		_, err := s.store.SetEnd(ctx, found, lifetime)
		return err
	})
}

// Refresh keeps a running sandbox for at least a time from now.
func (s *Service) Refresh(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error {
	lifetime, err := validate.Timeout("duration", seconds, s.options.MaxTimeout)
	if err != nil {
		return err
	}
	return s.whenSettled(ctx, teamID, sandboxID, func(found sandbox.Sandbox) error {
		if found.State != sandbox.Running {
			return notRunning(sandboxID)
		}
		_, err := s.store.ExtendEnd(ctx, found, lifetime)
		return err
	})
}

// extended extends the life of a sandbox that was only just found to run.
func (s *Service) extended(ctx context.Context, found sandbox.Sandbox, lifetime time.Duration) (sandbox.Sandbox, error) {
	extended, err := s.store.ExtendEnd(ctx, found, lifetime)
	return extended, s.overtaken(ctx, found, err)
}
