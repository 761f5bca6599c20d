// Package teams changes teams, and deletes them with all that they have.
package teams

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// pageSize is how many sandboxes or snapshots are read at a time.
const pageSize = 100

// Sandboxes are the sandboxes of teams.
type Sandboxes interface {
	List(ctx context.Context, teamID uuid.UUID, filter sandboxes.Filter) (sandboxes.Page, error)
	Kill(ctx context.Context, teamID uuid.UUID, sandboxID string) error
}

// Snapshots are the snapshots of teams.
type Snapshots interface {
	ListSnapshots(ctx context.Context, teamID uuid.UUID, filter templates.SnapshotFilter) (templates.SnapshotPage, error)
	DeleteSnapshot(ctx context.Context, teamID uuid.UUID, snapshotID string) error
}

// Volumes are the volumes of teams.
type Volumes interface {
	List(ctx context.Context, teamID uuid.UUID) ([]volumes.Volume, error)
	Delete(ctx context.Context, teamID uuid.UUID, volumeID string) error
}

// Deletion deletes teams with all that they have.
type Deletion struct {
	pool      *pgxpool.Pool
	sandboxes Sandboxes
	snapshots Snapshots
	volumes   Volumes
	firstTeam string
	log       *slog.Logger
}

// NewDeletion deletes every team but the first one, which the installation always has
// and which is named by its slug.
func NewDeletion(
	pool *pgxpool.Pool, sandboxes Sandboxes, snapshots Snapshots, volumes Volumes, firstTeam string, log *slog.Logger,
) *Deletion {
	return &Deletion{pool: pool, sandboxes: sandboxes, snapshots: snapshots, volumes: volumes, firstTeam: firstTeam, log: log}
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
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return deleteRows(ctx, tx, teamID) })
	if db.IsForeignKeyViolation(err) {
		return fault.Wrap(fault.Conflict, err, "tables of an extension still refer to the team")
	}
	if err != nil {
		return err
	}
	d.log.InfoContext(ctx, "team deleted", "team", teamID)
	return nil
}

func (d *Deletion) mayDelete(ctx context.Context, teamID uuid.UUID) error {
	store := newStore(d.pool)
	slug, err := store.slug(ctx, teamID)
	if err != nil {
		return err
	}
	if slug == d.firstTeam {
		return fault.New(fault.Conflict, "the first team of an installation cannot be deleted")
	}
	has, err := store.count(ctx, teamID)
	switch {
	case err != nil:
		return err
	case has.running > 0:
		return fault.New(fault.Conflict, "the team runs %d sandboxes; kill them first", has.running)
	case has.templates > 0:
		return fault.New(fault.Conflict, "the team has %d templates; delete them first", has.templates)
	}
	return nil
}

func (d *Deletion) killPaused(ctx context.Context, teamID uuid.UUID) error {
	for {
		page, err := d.sandboxes.List(ctx, teamID, sandboxes.Filter{States: []sandbox.State{sandbox.Paused}, PageSize: pageSize})
		if err != nil || len(page.Sandboxes) == 0 {
			return err
		}
		for _, sandbox := range page.Sandboxes {
			if err := d.sandboxes.Kill(ctx, teamID, sandbox.ID); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	}
}

func (d *Deletion) deleteSnapshots(ctx context.Context, teamID uuid.UUID) error {
	for {
		page, err := d.snapshots.ListSnapshots(ctx, teamID, templates.SnapshotFilter{PageSize: pageSize})
		if err != nil || len(page.Snapshots) == 0 {
			return err
		}
		for _, snapshot := range page.Snapshots {
			if err := d.snapshots.DeleteSnapshot(ctx, teamID, snapshot.ID); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
	}
}

func (d *Deletion) deleteVolumes(ctx context.Context, teamID uuid.UUID) error {
	volumes, err := d.volumes.List(ctx, teamID)
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		if err := d.volumes.Delete(ctx, teamID, volume.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// deleteRows deletes a team that has nothing on any host. Lock order, as in a placement:
// the team's account, then its row. Nothing is placed for the team after the count.
func deleteRows(ctx context.Context, tx pgx.Tx, teamID uuid.UUID) error {
	if err := usage.Lock(ctx, tx, teamID); err != nil {
		return err
	}
	store := newStore(tx)
	if err := store.lock(ctx, teamID); err != nil {
		return err
	}
	has, err := store.count(ctx, teamID)
	if err != nil {
		return err
	}
	if has != (possessions{}) {
		return fault.New(fault.Conflict, "the team has %d sandboxes, %d volumes and %d snapshots that are being made or deleted; try again",
			has.running+has.paused, has.volumes, has.snapshots+has.templates)
	}
	drafts, err := secrets.DeleteOfTeam(ctx, tx, teamID)
	if err != nil {
		return err
	}
	ofChannels, err := channels.DeleteOf(ctx, tx, teamID)
	if err != nil {
		return err
	}
	if err := store.delete(ctx, teamID); err != nil {
		return err
	}
	return events.RecordAll(ctx, tx, append(drafts, ofChannels...)...)
}
