// Package teams deletes teams with all that they have.
package teams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// pageSize is how many sandboxes or snapshots are looked at at a time.
const pageSize = 100

// Deletion deletes teams with all that they have.
type Deletion struct {
	Pool      *pgxpool.Pool
	Sandboxes *sandboxes.Service
	Templates *templates.Service
	Volumes   *volumes.Service
	// FirstTeam is the slug of the team that the installation always has.
	FirstTeam string
	Log       *slog.Logger
}

// Delete deletes a team that runs nothing: first what it has on hosts, then its
// rows. Where a host is away, or something is made meanwhile, the team stays, and
// the next Delete goes on.
func (d *Deletion) Delete(ctx context.Context, teamID uuid.UUID) error {
	if err := d.mayDelete(ctx, teamID); err != nil {
		return err
	}
	for _, remove := range []func(context.Context, uuid.UUID) error{d.killPaused, d.deleteSnapshots, d.deleteVolumes} {
		if err := remove(ctx, teamID); err != nil {
			return err
		}
	}
	err := pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error { return deleteTeamRows(ctx, tx, teamID) })
	if db.IsForeignKeyViolation(err) {
		return fault.Wrap(fault.Conflict, err, "tables of an extension still refer to the team")
	}
	if err != nil {
		return err
	}
	d.Log.Info("team deleted", "team", teamID)
	return nil
}

func (d *Deletion) mayDelete(ctx context.Context, teamID uuid.UUID) error {
	queries := rows.New(d.Pool)
	team, err := queries.GetTeam(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no such team")
	}
	if err != nil {
		return fmt.Errorf("get team %s: %w", teamID, err)
	}
	if team.Slug == d.FirstTeam {
		return fault.New(fault.Conflict, "the first team of an installation cannot be deleted")
	}
	has, err := queries.CountOfTeam(ctx, teamID)
	switch {
	case err != nil:
		return fmt.Errorf("count what team %s has: %w", teamID, err)
	case has.Running > 0:
		return fault.New(fault.Conflict, "the team runs %d sandboxes; kill them first", has.Running)
	case has.Templates > 0:
		return fault.New(fault.Conflict, "the team has %d templates; delete them first", has.Templates)
	}
	return nil
}

func (d *Deletion) killPaused(ctx context.Context, teamID uuid.UUID) error {
	for {
		page, err := d.Sandboxes.List(ctx, teamID, sandboxes.Filter{States: []sandbox.State{sandbox.Paused}, PageSize: pageSize})
		if err != nil || len(page.Sandboxes) == 0 {
			return err
		}
		for _, sandbox := range page.Sandboxes {
			if err := d.Sandboxes.Kill(ctx, teamID, sandbox.ID); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	}
}

func (d *Deletion) deleteSnapshots(ctx context.Context, teamID uuid.UUID) error {
	for {
		page, err := d.Templates.ListSnapshots(ctx, teamID, templates.SnapshotFilter{PageSize: pageSize})
		if err != nil || len(page.Snapshots) == 0 {
			return err
		}
		for _, snapshot := range page.Snapshots {
			if err := d.Templates.DeleteSnapshot(ctx, teamID, snapshot.ID); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	}
}

func (d *Deletion) deleteVolumes(ctx context.Context, teamID uuid.UUID) error {
	volumes, err := d.Volumes.List(ctx, teamID)
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		if err := d.Volumes.Delete(ctx, teamID, volume.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// deleteTeamRows deletes a team that has nothing on any host. It takes the locks of
// a placement in the order of one, so that neither waits for the other, and nothing
// is placed for the team after the count.
func deleteTeamRows(ctx context.Context, tx pgx.Tx, teamID uuid.UUID) error {
	queries := rows.New(tx)
	if _, err := queries.LockTeamUse(ctx, teamID); err != nil {
		return fmt.Errorf("lock what team %s uses: %w", teamID, err)
	}
	if _, err := queries.LockTeam(ctx, teamID); err != nil {
		return fmt.Errorf("lock team %s: %w", teamID, err)
	}
	has, err := queries.CountOfTeam(ctx, teamID)
	if err != nil {
		return fmt.Errorf("count what team %s has: %w", teamID, err)
	}
	if has != (rows.CountOfTeamRow{}) {
		return fault.New(fault.Conflict, "the team has %d sandboxes, %d volumes and %d snapshots that are being made or deleted; try again",
			has.Running+has.Paused, has.Volumes, has.Snapshots+has.Templates)
	}
	if err := queries.DeleteSandboxesOfTeam(ctx, teamID); err != nil {
		return fmt.Errorf("forget the sandboxes of team %s: %w", teamID, err)
	}
	told, err := channels.DeleteOf(ctx, tx, teamID)
	if err != nil {
		return err
	}
	if err := queries.DeleteTeam(ctx, teamID); err != nil {
		return fmt.Errorf("delete team %s: %w", teamID, err)
	}
	return events.RecordAll(ctx, tx, told...)
}
