package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// beginResume claims a paused sandbox and takes room for it on the host that has
// it, in one transaction. It answers errOvertaken where it is paused no more.
func (s *Sandboxes) beginResume(ctx context.Context, paused db.Sandbox) (resuming db.Sandbox, err error) {
	err = pgx.BeginFunc(ctx, s.Placement.pool, func(tx pgx.Tx) (err error) {
		resuming, err = s.resumeWithRoom(ctx, db.New(tx), paused.TeamID, paused.ID)
		return err
	})
	return resuming, err
}

// resumeWithRoom takes its locks in the order of the schema's triggers: the
// sandbox, its team, its host.
func (s *Sandboxes) resumeWithRoom(ctx context.Context, queries *db.Queries, teamID uuid.UUID, sandboxID string) (db.Sandbox, error) {
	paused, err := queries.LockSandbox(ctx, db.LockSandboxParams{ID: sandboxID, TeamID: teamID})
	if errors.Is(err, pgx.ErrNoRows) || err == nil && paused.State != lifecycle.Paused {
		return db.Sandbox{}, errOvertaken
	}
	if err != nil {
		return db.Sandbox{}, fmt.Errorf("get sandbox %s: %w", sandboxID, err)
	}
	needs := scheduler.Resources{VCPUs: int64(paused.VCPUCount), MemoryMiB: int64(paused.MemoryMiB)}
	if err := Admit(ctx, queries, teamID, Demand{Sandboxes: 1, Needs: needs}); err != nil {
		return db.Sandbox{}, err
	}
	if err := lockRoom(ctx, queries, paused.HostID, needs); errors.Is(err, scheduler.ErrTaken) {
		return db.Sandbox{}, s.whyNoRoom(ctx, queries, paused.HostID)
	} else if err != nil {
		return db.Sandbox{}, err
	}
	resuming, err := queries.BeginTransition(ctx, db.BeginTransitionParams{
		ID: sandboxID, TeamID: teamID, NextState: lifecycle.Resuming, Claimant: s.Claimant.ID(),
		FromStates: texts(lifecycle.From(lifecycle.Resuming)),
	})
	if err != nil {
		return db.Sandbox{}, fmt.Errorf("begin to resume sandbox %s: %w", sandboxID, err)
	}
	return resuming, nil
}

func (s *Sandboxes) whyNoRoom(ctx context.Context, queries *db.Queries, hostID uuid.UUID) error {
	host, err := queries.GetHost(ctx, hostID)
	switch {
	case err != nil:
		return fmt.Errorf("get host %s: %w", hostID, err)
	case host.State == lifecycle.HostReady:
		return fault.New(fault.Exhausted, "the sandbox's host has no room for it at the moment").Because(fault.NoCapacity)
	default:
		return fault.New(fault.Unavailable, "the sandbox's host is %s", host.State)
	}
}
