package sandboxes

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// beginResume claims a paused sandbox and takes room for it on the host that has
// it, in one transaction. It returns ErrOvertaken where it is paused no more.
func (s *Service) beginResume(ctx context.Context, paused sandbox.Sandbox) (resuming sandbox.Sandbox, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		resuming, err = s.resumeWithRoom(ctx, tx, paused)
		return err
	})
	return resuming, err
}

// resumeWithRoom takes its locks in the order of the schema's triggers: the
// sandbox, its team, its host.
func (s *Service) resumeWithRoom(ctx context.Context, tx pgx.Tx, read sandbox.Sandbox) (sandbox.Sandbox, error) {
	boxes := store.NewSandboxes(tx)
	paused, err := boxes.Lock(ctx, read.TeamID, read.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && paused.State != sandbox.Paused {
		return sandbox.Sandbox{}, operation.ErrOvertaken
	}
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	needs := scheduler.Resources{VCPUs: int64(paused.VCPUCount), MemoryMiB: int64(paused.MemoryMiB)}
	if err := usage.Admit(ctx, tx, paused.TeamID, usage.Demand{Sandboxes: 1, Needs: needs}); err != nil {
		return sandbox.Sandbox{}, err
	}
	if err := placement.LockRoom(ctx, tx, paused.HostID, needs); errors.Is(err, scheduler.ErrTaken) {
		return sandbox.Sandbox{}, placement.WhyNoRoom(ctx, tx, paused.HostID)
	} else if err != nil {
		return sandbox.Sandbox{}, err
	}
	// The host's row is locked, so that its driver stays.
	if err := placement.RequireIsolation(ctx, tx, paused); err != nil {
		return sandbox.Sandbox{}, err
	}
	return boxes.Claim(ctx, paused, sandbox.Resuming, "", s.claimant.ID())
}
