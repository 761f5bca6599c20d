package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// SetTimeout ends a running sandbox after a time from now, later or sooner than
// it would have.
func (s *Service) SetTimeout(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error {
	lifetime, err := validate.Timeout("timeout", seconds, s.MaxTimeout)
	if err != nil {
		return err
	}
	return s.whenSettled(ctx, teamID, sandboxID, func(sandbox rows.Sandbox) error {
		if sandbox.State != lifecycle.Running {
			return notRunning(sandboxID)
		}
		_, err := s.Queries.SetEnd(ctx, rows.SetEndParams{ID: sandboxID, TeamID: teamID, Lifetime: lifetime})
		return endError(sandboxID, err)
	})
}

// Refresh keeps a running sandbox for at least a time from now.
func (s *Service) Refresh(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error {
	lifetime, err := validate.Timeout("duration", seconds, s.MaxTimeout)
	if err != nil {
		return err
	}
	return s.whenSettled(ctx, teamID, sandboxID, func(sandbox rows.Sandbox) error {
		if sandbox.State != lifecycle.Running {
			return notRunning(sandboxID)
		}
		_, err := s.extend(ctx, sandbox, lifetime)
		return err
	})
}

// extend keeps a running sandbox for at least a time from now. It answers errOvertaken
// where it runs no more.
func (s *Service) extend(ctx context.Context, sandbox rows.Sandbox, lifetime time.Duration) (rows.Sandbox, error) {
	extended, err := s.Queries.ExtendEnd(ctx, rows.ExtendEndParams{ID: sandbox.ID, TeamID: sandbox.TeamID, Lifetime: lifetime})
	return extended, endError(sandbox.ID, err)
}

// extended is extend for a sandbox that was only just found to run.
func (s *Service) extended(ctx context.Context, sandbox rows.Sandbox, lifetime time.Duration) (rows.Sandbox, error) {
	extended, err := s.extend(ctx, sandbox, lifetime)
	return extended, s.overtaken(ctx, sandbox, err)
}

func endError(sandboxID string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return operation.ErrOvertaken
	}
	if err != nil {
		return fmt.Errorf("set the end of sandbox %s: %w", sandboxID, err)
	}
	return nil
}

func notRunning(sandboxID string) error {
	return fault.New(fault.NotFound, "sandbox %s is not running", sandboxID)
}
