package templates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// forgottenAfter is longer than any host takes to make a snapshot.
const forgottenAfter = 10 * time.Minute

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

// SnapshotName reads a team's name for a snapshot; "" is none.
func (t *Service) SnapshotName(ctx context.Context, teamID uuid.UUID, text string) (snapshotName, error) {
	team, err := t.Queries.GetTeam(ctx, teamID)
	if err != nil {
		return snapshotName{}, fmt.Errorf("get team %s: %w", teamID, err)
	}
	if text == "" {
		return snapshotName{team: team.Slug, tag: newestTag}, nil
	}
	parsed, err := ParseName("name", text)
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

// SnapshotHost is a host that takes and deletes snapshots.
type SnapshotHost interface {
	SnapshotSandbox(ctx context.Context, sandboxID, buildID string, withoutMemory bool) (host.Template, error)
	DeleteSnapshot(ctx context.Context, buildID string) error
}

// TakeSnapshot writes a running sandbox down. Where it fails nothing is left of it.
func (t *Service) TakeSnapshot(ctx context.Context, sandbox sandbox.Sandbox, name snapshotName, withoutMemory bool) (Snapshot, error) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	buildID := uuid.New()
	snapshotID, err := t.beginSnapshot(ctx, sandbox, buildID, name)
	if err != nil {
		return Snapshot{}, err
	}
	if err := t.finishSnapshot(ctx, sandbox, snapshotID, buildID, name, withoutMemory); err != nil {
		t.forgetBuild(ctx, sandbox.HostID, buildID)
		return Snapshot{}, err
	}
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
func (t *Service) beginSnapshot(ctx context.Context, sandbox sandbox.Sandbox, buildID uuid.UUID, name snapshotName) (string, error) {
	if name.alias != "" {
		if existing, found, err := t.findSnapshot(ctx, sandbox.TeamID, name.alias); err != nil || found {
			return existing, t.beginAgain(ctx, sandbox, buildID, name, existing, err)
		}
	}
	snapshotID := id.NewTemplate()
	err := t.Queries.BeginSnapshot(ctx, rows.BeginSnapshotParams{
		HostID: sandbox.HostID, TemplateID: snapshotID, TeamID: sandbox.TeamID, SandboxID: sandbox.ID,
		Alias: name.alias, BuildID: buildID, MadeDefault: name.isDefault(),
		VCPUCount: sandbox.VCPUCount, MemoryMiB: sandbox.MemoryMiB, DiskMiB: sandbox.DiskMiB, EnvdVersion: sandbox.EnvdVersion,
	})
	if db.IsUniqueViolation(err) {
		return "", fault.New(fault.Conflict, "name %q was just given to another snapshot; try again", name.alias)
	}
	if err != nil {
		return "", fmt.Errorf("store a snapshot of sandbox %s: %w", sandbox.ID, err)
	}
	return snapshotID, nil
}

func (t *Service) beginAgain(ctx context.Context, sandbox sandbox.Sandbox, buildID uuid.UUID, name snapshotName, existing string, err error) error {
	if err != nil {
		return err
	}
	begun, err := t.Queries.BeginSnapshotAgain(ctx, rows.BeginSnapshotAgainParams{
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

func (t *Service) finishSnapshot(
	ctx context.Context, sandbox sandbox.Sandbox, snapshotID string, buildID uuid.UUID, name snapshotName, withoutMemory bool,
) error {
	taken, err := t.Hosts(sandbox.HostID).SnapshotSandbox(ctx, sandbox.ID, buildID.String(), withoutMemory)
	if err != nil {
		return err
	}
	finished, err := t.Queries.FinishSnapshot(ctx, rows.FinishSnapshotParams{
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
	err = t.Queries.AssignTags(ctx, rows.AssignTagsParams{TemplateID: snapshotID, Tags: []string{name.tag}, BuildID: buildID})
	if err != nil {
		return fmt.Errorf("tag build %s: %w", buildID, err)
	}
	return nil
}

// forgetBuild deletes what may have been made of a snapshot's build. If its host
// is away SweepSnapshots tries again.
func (t *Service) forgetBuild(ctx context.Context, hostID, buildID uuid.UUID) {
	err := t.Hosts(hostID).DeleteSnapshot(ctx, buildID.String())
	if err == nil {
		err = t.Queries.DeleteSnapshotBuild(ctx, buildID)
	}
	if err != nil {
		t.Log.Warn("delete what is left of a snapshot, will try again", "build", buildID, "error", err)
	}
}

// SweepSnapshots deletes what is left of snapshots whose control plane has died
// while they were taken.
func (t *Service) SweepSnapshots(ctx context.Context) error {
	forgotten, err := t.Queries.ListForgottenSnapshotBuilds(ctx, time.Now().Add(-forgottenAfter))
	if err != nil {
		return fmt.Errorf("list forgotten snapshots: %w", err)
	}
	for _, build := range forgotten {
		t.forgetBuild(ctx, build.HostID, build.ID)
	}
	return nil
}

// DeleteSnapshot deletes a snapshot by its ID or name, with all its builds. What
// was created from it runs on. It answers NotFound for a template that is none.
func (t *Service) DeleteSnapshot(ctx context.Context, teamID uuid.UUID, snapshotID string) error {
	missing := fault.New(fault.NotFound, "snapshot %.64q was not found", snapshotID)
	if !id.IsTemplate(snapshotID) {
		return missing
	}
	snapshot, found, err := t.findSnapshot(ctx, teamID, snapshotID)
	if fault.Is(err, fault.Conflict) || err == nil && !found {
		return missing
	}
	if err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	builds, err := t.Queries.ListSnapshotBuilds(ctx, snapshot)
	if err != nil {
		return fmt.Errorf("list builds of snapshot %s: %w", snapshot, err)
	}
	// The row goes last: as long as a host has a build of it, it can be found.
	for _, build := range builds {
		if err := t.Hosts(build.HostID).DeleteSnapshot(ctx, build.ID.String()); err != nil {
			return err
		}
	}
	if err := t.Queries.DeleteSnapshot(ctx, snapshot); err != nil {
		return fmt.Errorf("delete snapshot %s: %w", snapshot, err)
	}
	return nil
}

// findSnapshot finds the ID of a team's snapshot by ID or name. It answers Conflict
// where a template that was built has the name.
func (t *Service) findSnapshot(ctx context.Context, teamID uuid.UUID, name string) (string, bool, error) {
	row, err := t.Queries.FindSnapshot(ctx, rows.FindSnapshotParams{TeamID: teamID, Name: name})
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
