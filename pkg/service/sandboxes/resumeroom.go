package sandboxes

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// beginResume claims a paused sandbox and takes room for it on the host that has
// it, in one transaction. It answers errOvertaken where it is paused no more.
func (s *Service) beginResume(ctx context.Context, paused rows.Sandbox) (resuming rows.Sandbox, err error) {
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) (err error) {
		resuming, err = s.resumeWithRoom(ctx, rows.New(tx), paused.TeamID, paused.ID)
		return err
	})
	return resuming, err
}

// resumeWithRoom takes its locks in the order of the schema's triggers: the
// sandbox, its team, its host.
func (s *Service) resumeWithRoom(ctx context.Context, queries *rows.Queries, teamID uuid.UUID, sandboxID string) (rows.Sandbox, error) {
	paused, err := queries.LockSandbox(ctx, rows.LockSandboxParams{ID: sandboxID, TeamID: teamID})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && paused.State != lifecycle.Paused {
		return rows.Sandbox{}, operation.ErrOvertaken
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("get sandbox %s: %w", sandboxID, err)
	}
	needs := scheduler.Resources{VCPUs: int64(paused.VCPUCount), MemoryMiB: int64(paused.MemoryMiB)}
	if err := usage.Admit(ctx, queries, teamID, usage.Demand{Sandboxes: 1, Needs: needs}); err != nil {
		return rows.Sandbox{}, err
	}
	if err := placement.LockRoom(ctx, queries, paused.HostID, needs); errors.Is(err, scheduler.ErrTaken) {
		return rows.Sandbox{}, placement.WhyNoRoom(ctx, queries, paused.HostID)
	} else if err != nil {
		return rows.Sandbox{}, err
	}
	resuming, err := queries.BeginTransition(ctx, rows.BeginTransitionParams{
		ID: sandboxID, TeamID: teamID, NextState: lifecycle.Resuming, Claimant: s.Claimant.ID(),
		FromStates: texts(lifecycle.From(lifecycle.Resuming)),
	})
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("begin to resume sandbox %s: %w", sandboxID, err)
	}
	return resuming, nil
}
