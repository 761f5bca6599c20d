package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// forgottenAfter is longer than any host takes to make a snapshot.
const forgottenAfter = 10 * time.Minute

// uniqueViolation is PostgreSQL's code for a value that a unique index has already.
const uniqueViolation = "23505"

// Snapshot is what was written down of a running sandbox, from which others are
// created by its ID or one of its names.
type Snapshot struct {
	ID    string
	Names []string
}

// Snapshot writes a running sandbox down; it runs on. A name that the team has
// given a snapshot before names the newer one from now on; "" is none.
func (s *Sandboxes) Snapshot(ctx context.Context, teamID uuid.UUID, sandboxID, name string) (Snapshot, error) {
	if name != "" && !id.IsTemplate(name) {
		return Snapshot{}, fault.New(fault.Invalid, "name must be letters, digits, dots, dashes and underscores, at most 128")
	}
	var taken Snapshot
	err := s.whenRunning(ctx, teamID, sandboxID, func(sandbox db.Sandbox) (err error) {
		taken, err = s.snapshot(ctx, sandbox, name)
		return err
	})
	return taken, err
}

func (s *Sandboxes) snapshot(ctx context.Context, sandbox db.Sandbox, name string) (Snapshot, error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	buildID := uuid.New()
	snapshot, err := s.beginSnapshot(ctx, sandbox, buildID, name)
	if err != nil {
		return Snapshot{}, err
	}
	if err := s.finishSnapshot(ctx, sandbox, buildID); err != nil {
		s.forgetBuild(ctx, sandbox.HostID, buildID)
		return Snapshot{}, s.orOvertaken(ctx, sandbox, err)
	}
	s.logLine(ctx, sandbox.ID, "Snapshot taken", map[string]string{"snapshot": snapshot.ID})
	return snapshot, nil
}

// beginSnapshot stores what is about to be made, so that it can be found and
// deleted whatever happens.
func (s *Sandboxes) beginSnapshot(ctx context.Context, sandbox db.Sandbox, buildID uuid.UUID, name string) (Snapshot, error) {
	if name != "" {
		if existing, found, err := s.findSnapshot(ctx, sandbox.TeamID, name); err != nil || found {
			return existing, s.beginAgain(ctx, sandbox, buildID, existing, err)
		}
	}
	snapshot := Snapshot{ID: id.NewTemplate(), Names: []string{}}
	if name != "" {
		snapshot.Names = append(snapshot.Names, name)
	}
	err := s.Queries.BeginSnapshot(ctx, db.BeginSnapshotParams{
		HostID: sandbox.HostID, TemplateID: snapshot.ID, TeamID: sandbox.TeamID, SandboxID: sandbox.ID, Alias: name, BuildID: buildID,
		VCPUCount: sandbox.VCPUCount, MemoryMiB: sandbox.MemoryMiB, DiskMiB: sandbox.DiskMiB, EnvdVersion: sandbox.EnvdVersion,
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == uniqueViolation {
		return Snapshot{}, fault.New(fault.Conflict, "name %q was just given to another snapshot; try again", name)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("store a snapshot of sandbox %s: %w", sandbox.ID, err)
	}
	return snapshot, nil
}

func (s *Sandboxes) beginAgain(ctx context.Context, sandbox db.Sandbox, buildID uuid.UUID, existing Snapshot, err error) error {
	if err != nil {
		return err
	}
	begun, err := s.Queries.BeginSnapshotAgain(ctx, db.BeginSnapshotAgainParams{
		HostID: sandbox.HostID, TemplateID: existing.ID, BuildID: buildID,
		VCPUCount: sandbox.VCPUCount, MemoryMiB: sandbox.MemoryMiB, DiskMiB: sandbox.DiskMiB, EnvdVersion: sandbox.EnvdVersion,
	})
	if err != nil {
		return fmt.Errorf("store another snapshot under %s: %w", existing.ID, err)
	}
	if begun == 0 {
		return fault.New(fault.Conflict, "snapshot %s was just deleted; try again", existing.ID)
	}
	return nil
}

func (s *Sandboxes) finishSnapshot(ctx context.Context, sandbox db.Sandbox, buildID uuid.UUID) error {
	taken, err := s.Hosts.Agent(sandbox.HostID).SnapshotSandbox(ctx, sandbox.ID, buildID.String())
	if err != nil {
		return err
	}
	finished, err := s.Queries.FinishSnapshot(ctx, db.FinishSnapshotParams{
		ID: buildID, VCPUCount: taken.VCPUCount, MemoryMiB: taken.MemoryMiB, DiskMiB: taken.DiskMiB, EnvdVersion: taken.EnvdVersion,
	})
	if err != nil {
		return fmt.Errorf("store that build %s is ready: %w", buildID, err)
	}
	if finished == 0 {
		return fault.New(fault.Conflict, "the snapshot was deleted while it was taken")
	}
	return nil
}

// forgetBuild deletes what may have been made of a snapshot's build. If its host
// is away SweepSnapshots tries again.
func (s *Sandboxes) forgetBuild(ctx context.Context, hostID, buildID uuid.UUID) {
	err := s.Hosts.Agent(hostID).DeleteSnapshot(ctx, buildID.String())
	if err == nil {
		err = s.Queries.DeleteSnapshotBuild(ctx, buildID)
	}
	if err != nil {
		s.Log.Warn("delete what is left of a snapshot, will try again", "build", buildID, "error", err)
	}
}

// SweepSnapshots deletes what is left of snapshots whose control plane has died
// while they were taken.
func (s *Sandboxes) SweepSnapshots(ctx context.Context) error {
	forgotten, err := s.Queries.ListForgottenSnapshotBuilds(ctx, time.Now().Add(-forgottenAfter))
	if err != nil {
		return fmt.Errorf("list forgotten snapshots: %w", err)
	}
	for _, build := range forgotten {
		s.forgetBuild(ctx, build.HostID, build.ID)
	}
	return nil
}

// DeleteSnapshot deletes a snapshot by its ID or name, with all its builds. What
// was created from it runs on. It answers NotFound for a template that is none.
func (s *Sandboxes) DeleteSnapshot(ctx context.Context, teamID uuid.UUID, snapshotID string) error {
	missing := fault.New(fault.NotFound, "snapshot %.64q was not found", snapshotID)
	if !id.IsTemplate(snapshotID) {
		return missing
	}
	snapshot, found, err := s.findSnapshot(ctx, teamID, snapshotID)
	if fault.Is(err, fault.Conflict) || err == nil && !found {
		return missing
	}
	if err != nil {
		return err
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	builds, err := s.Queries.ListSnapshotBuilds(ctx, snapshot.ID)
	if err != nil {
		return fmt.Errorf("list builds of snapshot %s: %w", snapshot.ID, err)
	}
	// The row goes last: as long as a host has a build of it, it can be found.
	for _, build := range builds {
		if err := s.Hosts.Agent(build.HostID).DeleteSnapshot(ctx, build.ID.String()); err != nil {
			return err
		}
	}
	if err := s.Queries.DeleteSnapshot(ctx, snapshot.ID); err != nil {
		return fmt.Errorf("delete snapshot %s: %w", snapshot.ID, err)
	}
	return nil
}

// findSnapshot finds a team's snapshot by ID or name. It answers Conflict where a
// template that was built has the name.
func (s *Sandboxes) findSnapshot(ctx context.Context, teamID uuid.UUID, name string) (Snapshot, bool, error) {
	row, err := s.Queries.FindSnapshot(ctx, db.FindSnapshotParams{TeamID: teamID, Name: name})
	if errors.Is(err, pgx.ErrNoRows) {
		return Snapshot{}, false, nil
	}
	if err != nil {
		return Snapshot{}, false, fmt.Errorf("find snapshot %s: %w", name, err)
	}
	if row.SnapshotOf == nil {
		return Snapshot{}, false, fault.New(fault.Conflict, "name %q is that of a template", name)
	}
	return Snapshot{ID: row.ID, Names: row.Aliases}, true, nil
}
