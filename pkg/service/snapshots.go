package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
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
	ID string
	// Reference is the first of Names or, without any, the ID with its tag.
	Reference string
	// Names have the team's slug and a tag, as in "team/name:default".
	Names []string
}

// NewSnapshot asks for a snapshot.
type NewSnapshot struct {
	// Name is "name", "name:tag" or either with the team's slug and a slash before
	// it; empty for none. A name that the team has given a snapshot before stands for
	// the newer one from now on; with a tag only that tag does.
	Name string
	// WithoutMemory keeps the file system only: what is created from it boots.
	WithoutMemory bool
}

// snapshotName is a team's name for a snapshot, checked.
type snapshotName struct{ team, alias, tag string }

func (n snapshotName) isDefault() bool { return n.tag == newestTag }

// references are a snapshot's ID and names as clients see them.
func references(snapshotID, team string, aliases []string, tags ...string) (reference string, names []string) {
	names = []string{}
	if len(tags) == 0 { // its only build has lost its tag
		tags = []string{newestTag}
	}
	for _, alias := range aliases {
		for _, tag := range tags {
			names = append(names, team+"/"+alias+":"+tag)
		}
	}
	if len(names) > 0 {
		return names[0], names
	}
	return snapshotID + ":" + tags[0], names
}

// Snapshot writes a running sandbox down; it runs on.
func (s *Sandboxes) Snapshot(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted NewSnapshot) (Snapshot, error) {
	name, err := s.snapshotName(ctx, teamID, wanted.Name)
	if err != nil {
		return Snapshot{}, err
	}
	var taken Snapshot
	err = s.whenRunning(ctx, teamID, sandboxID, func(sandbox rows.Sandbox) (err error) {
		taken, err = s.snapshot(ctx, sandbox, name, wanted.WithoutMemory)
		return err
	})
	return taken, err
}

func (s *Sandboxes) snapshotName(ctx context.Context, teamID uuid.UUID, text string) (snapshotName, error) {
	team, err := s.Queries.GetTeam(ctx, teamID)
	if err != nil {
		return snapshotName{}, fmt.Errorf("get team %s: %w", teamID, err)
	}
	if text == "" {
		return snapshotName{team: team.Slug, tag: newestTag}, nil
	}
	parsed, err := parseTemplateName("name", text)
	if err != nil {
		return snapshotName{}, err
	}
	if _, err := uuid.Parse(parsed.tag); err == nil {
		return snapshotName{}, fault.New(fault.Invalid, "name: a build's ID cannot be a tag")
	}
	if parsed.team != "" && parsed.team != team.Slug {
		return snapshotName{}, fault.New(fault.Forbidden, "name: the team's own snapshots are named %s/…, not %.128s/…", team.Slug, parsed.team)
	}
	return snapshotName{team: team.Slug, alias: parsed.name, tag: parsed.tag}, nil
}

func (s *Sandboxes) snapshot(ctx context.Context, sandbox rows.Sandbox, name snapshotName, withoutMemory bool) (Snapshot, error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	buildID := uuid.New()
	snapshotID, err := s.beginSnapshot(ctx, sandbox, buildID, name)
	if err != nil {
		return Snapshot{}, err
	}
	if err := s.finishSnapshot(ctx, sandbox, snapshotID, buildID, name, withoutMemory); err != nil {
		s.forgetBuild(ctx, sandbox.HostID, buildID)
		return Snapshot{}, s.orOvertaken(ctx, sandbox, err)
	}
	s.logLine(ctx, sandbox.ID, "Snapshot taken", map[string]string{"snapshot": snapshotID})
	taken := Snapshot{ID: snapshotID}
	var aliases []string
	if name.alias != "" {
		aliases = append(aliases, name.alias)
	}
	taken.Reference, taken.Names = references(snapshotID, name.team, aliases, name.tag)
	return taken, nil
}

// beginSnapshot stores what is about to be made, so that it can be found and
// deleted whatever happens, and returns the snapshot's ID.
func (s *Sandboxes) beginSnapshot(ctx context.Context, sandbox rows.Sandbox, buildID uuid.UUID, name snapshotName) (string, error) {
	if name.alias != "" {
		if existing, found, err := s.findSnapshot(ctx, sandbox.TeamID, name.alias); err != nil || found {
			return existing, s.beginAgain(ctx, sandbox, buildID, name, existing, err)
		}
	}
	snapshotID := id.NewTemplate()
	err := s.Queries.BeginSnapshot(ctx, rows.BeginSnapshotParams{
		HostID: sandbox.HostID, TemplateID: snapshotID, TeamID: sandbox.TeamID, SandboxID: sandbox.ID,
		Alias: name.alias, BuildID: buildID, MadeDefault: name.isDefault(),
		VCPUCount: sandbox.VCPUCount, MemoryMiB: sandbox.MemoryMiB, DiskMiB: sandbox.DiskMiB, EnvdVersion: sandbox.EnvdVersion,
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == uniqueViolation {
		return "", fault.New(fault.Conflict, "name %q was just given to another snapshot; try again", name.alias)
	}
	if err != nil {
		return "", fmt.Errorf("store a snapshot of sandbox %s: %w", sandbox.ID, err)
	}
	return snapshotID, nil
}

func (s *Sandboxes) beginAgain(ctx context.Context, sandbox rows.Sandbox, buildID uuid.UUID, name snapshotName, existing string, err error) error {
	if err != nil {
		return err
	}
	begun, err := s.Queries.BeginSnapshotAgain(ctx, rows.BeginSnapshotAgainParams{
		HostID: sandbox.HostID, TemplateID: existing, BuildID: buildID, MadeDefault: name.isDefault(),
		VCPUCount: sandbox.VCPUCount, MemoryMiB: sandbox.MemoryMiB, DiskMiB: sandbox.DiskMiB, EnvdVersion: sandbox.EnvdVersion,
	})
	if err != nil {
		return fmt.Errorf("store another snapshot under %s: %w", existing, err)
	}
	if begun == 0 {
		return fault.New(fault.Conflict, "snapshot %s was just deleted; try again", existing)
	}
	return nil
}

func (s *Sandboxes) finishSnapshot(
	ctx context.Context, sandbox rows.Sandbox, snapshotID string, buildID uuid.UUID, name snapshotName, withoutMemory bool,
) error {
	taken, err := s.Hosts.Agent(sandbox.HostID).SnapshotSandbox(ctx, sandbox.ID, buildID.String(), withoutMemory)
	if err != nil {
		return err
	}
	finished, err := s.Queries.FinishSnapshot(ctx, rows.FinishSnapshotParams{
		ID: buildID, VCPUCount: taken.VCPUCount, MemoryMiB: taken.MemoryMiB, DiskMiB: taken.DiskMiB, EnvdVersion: taken.EnvdVersion,
	})
	if err != nil {
		return fmt.Errorf("store that build %s is ready: %w", buildID, err)
	}
	if finished == 0 {
		return fault.New(fault.Conflict, "the snapshot was deleted while it was taken")
	}
	if name.isDefault() {
		return nil
	}
	err = s.Queries.AssignTags(ctx, rows.AssignTagsParams{TemplateID: snapshotID, Tags: []string{name.tag}, BuildID: buildID})
	if err != nil {
		return fmt.Errorf("tag build %s: %w", buildID, err)
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
	builds, err := s.Queries.ListSnapshotBuilds(ctx, snapshot)
	if err != nil {
		return fmt.Errorf("list builds of snapshot %s: %w", snapshot, err)
	}
	// The row goes last: as long as a host has a build of it, it can be found.
	for _, build := range builds {
		if err := s.Hosts.Agent(build.HostID).DeleteSnapshot(ctx, build.ID.String()); err != nil {
			return err
		}
	}
	if err := s.Queries.DeleteSnapshot(ctx, snapshot); err != nil {
		return fmt.Errorf("delete snapshot %s: %w", snapshot, err)
	}
	return nil
}

// findSnapshot finds the ID of a team's snapshot by ID or name. It answers Conflict
// where a template that was built has the name.
func (s *Sandboxes) findSnapshot(ctx context.Context, teamID uuid.UUID, name string) (string, bool, error) {
	row, err := s.Queries.FindSnapshot(ctx, rows.FindSnapshotParams{TeamID: teamID, Name: name})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("find snapshot %s: %w", name, err)
	}
	if row.SnapshotOf == nil {
		return "", false, fault.New(fault.Conflict, "name %q is that of a template", name)
	}
	return row.ID, true, nil
}
