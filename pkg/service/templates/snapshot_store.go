package templates

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// placedBuild is a build of a snapshot on a host.
type placedBuild struct{ id, hostID uuid.UUID }

// newBuild is a build of a snapshot that is about to be taken of a sandbox.
type newBuild struct {
	id, teamID, hostID uuid.UUID
	templateID         string
	sandboxID          string
	name               CheckedName
	size               Size
	envdVersion        string
	madeBy             sandbox.Maker
}

// requireSnapshotRoom holds the team's row, so that requests at once do not store more
// snapshots than the team may have.
func (c *changes) requireSnapshotRoom(ctx context.Context, teamID uuid.UUID) error {
	limits, err := usage.LimitsOf(ctx, c.conn, teamID)
	if err != nil || limits.MaxSnapshots == nil {
		return err
	}
	if _, err := c.queries.LockTeam(ctx, teamID); err != nil {
		return fmt.Errorf("lock team %s: %w", teamID, err)
	}
	count, err := c.queries.CountSnapshots(ctx, teamID)
	if err != nil {
		return fmt.Errorf("count the snapshots of team %s: %w", teamID, err)
	}
	if count >= *limits.MaxSnapshots {
		return fault.New(fault.RateLimited, "the team has %d snapshots, which is the most", count).Because(fault.TeamLimit)
	}
	return nil
}

// beginSnapshot stores a snapshot, its alias if it has one, and its first build.
func (c *changes) beginSnapshot(ctx context.Context, build newBuild) error {
	err := c.queries.BeginSnapshot(ctx, rows.BeginSnapshotParams{
		HostID: build.hostID, TemplateID: build.templateID, TeamID: build.teamID, SandboxID: build.sandboxID,
		Alias: build.name.alias, BuildID: build.id, MadeDefault: build.name.isDefault(),
		VCPUCount: build.size.VCPUCount, MemoryMiB: build.size.MemoryMiB, DiskMiB: build.size.DiskMiB, EnvdVersion: build.envdVersion,
	})
	if err != nil {
		return fmt.Errorf("store a snapshot of sandbox %s: %w", build.sandboxID, err)
	}
	c.tell(&build.teamID, events.SandboxSnapshotted, build.sandboxID, map[string]string{"snapshotID": build.templateID})
	c.tell(&build.teamID, events.TemplateCreated, build.templateID, templateData(false))
	return nil
}

// beginBuild stores another build of a snapshot. It returns errNoRow where the snapshot
// was deleted.
func (s *store) beginBuild(ctx context.Context, build newBuild) error {
	begun, err := s.queries.BeginSnapshotAgain(ctx, rows.BeginSnapshotAgainParams{
		HostID: build.hostID, TemplateID: build.templateID, BuildID: build.id, MadeDefault: build.name.isDefault(),
		VCPUCount: build.size.VCPUCount, MemoryMiB: build.size.MemoryMiB, DiskMiB: build.size.DiskMiB, EnvdVersion: build.envdVersion,
	})
	if err != nil {
		return fmt.Errorf("store another build of snapshot %s: %w", build.templateID, err)
	}
	if begun == 0 {
		return errNoRow
	}
	return nil
}

// finishBuild makes a build ready. It returns errNoRow where the build was deleted.
func (c *changes) finishBuild(ctx context.Context, build newBuild) error {
	finished, err := c.queries.FinishSnapshot(ctx, rows.FinishSnapshotParams{
		ID: build.id, VCPUCount: build.size.VCPUCount, MemoryMiB: build.size.MemoryMiB, DiskMiB: build.size.DiskMiB, EnvdVersion: build.envdVersion,
		Driver: build.madeBy.Driver, Accelerator: build.madeBy.Accelerator,
	})
	if err != nil {
		return fmt.Errorf("store that build %s is ready: %w", build.id, err)
	}
	if finished == 0 {
		return errNoRow
	}
	c.tell(&build.teamID, events.TemplateBuilt, build.templateID, buildData(build.id))
	return nil
}

// deleteBuild deletes a build, and the snapshot with its last build.
func (c *changes) deleteBuild(ctx context.Context, buildID uuid.UUID) error {
	gone, err := c.queries.DeleteSnapshotBuild(ctx, buildID)
	if err != nil {
		return fmt.Errorf("delete build %s: %w", buildID, err)
	}
	for _, row := range gone {
		c.tell(row.TeamID, events.TemplateDeleted, row.ID, templateData(row.Public))
	}
	return nil
}

func (c *changes) deleteSnapshot(ctx context.Context, snapshotID string) error {
	gone, err := c.queries.DeleteSnapshot(ctx, snapshotID)
	if err != nil {
		return fmt.Errorf("delete snapshot %s: %w", snapshotID, err)
	}
	for _, row := range gone {
		c.tell(row.TeamID, events.TemplateDeleted, row.ID, templateData(row.Public))
	}
	return nil
}

// findSnapshot returns the ID of a team's template by its ID or alias, and whether it is
// a snapshot.
func (s *store) findSnapshot(ctx context.Context, teamID uuid.UUID, name string) (id string, isSnapshot bool, err error) {
	row, err := s.queries.FindSnapshot(ctx, rows.FindSnapshotParams{TeamID: teamID, Name: name})
	if err != nil {
		return "", false, orNoRow(err)
	}
	return row.ID, row.SnapshotOf != nil, nil
}

// snapshots returns at most a number of a team's snapshots, newest first, after a place,
// with when each was created.
func (s *store) snapshots(ctx context.Context, teamID uuid.UUID, sandboxID string, named Name, after cursor.Cursor, most int) ([]Snapshot, []time.Time, error) {
	found, err := s.queries.ListSnapshots(ctx, rows.ListSnapshotsParams{
		TeamID: teamID, SandboxID: sandboxID, Name: named.name, Tag: named.tag, TeamSlug: named.team,
		BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(most),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list snapshots: %w", err)
	}
	snapshots, createdAt := make([]Snapshot, 0, len(found)), make([]time.Time, 0, len(found))
	for _, row := range found {
		snapshot := Snapshot{ID: row.ID}
		snapshot.Reference, snapshot.Names = references(row.ID, row.TeamSlug, row.Aliases, row.Tags...)
		snapshots, createdAt = append(snapshots, snapshot), append(createdAt, row.CreatedAt)
	}
	return snapshots, createdAt, nil
}

// buildsOfSnapshot returns every build of a snapshot, on each host that has it.
func (s *store) buildsOfSnapshot(ctx context.Context, snapshotID string) ([]placedBuild, error) {
	found, err := s.queries.ListSnapshotBuilds(ctx, snapshotID)
	if err != nil {
		return nil, fmt.Errorf("list builds of snapshot %s: %w", snapshotID, err)
	}
	builds := make([]placedBuild, 0, len(found))
	for _, row := range found {
		builds = append(builds, placedBuild{row.ID, row.HostID})
	}
	return builds, nil
}

// unfinishedBuilds returns builds of snapshots that were begun before a time and never
// finished.
func (s *store) unfinishedBuilds(ctx context.Context, before time.Time) ([]placedBuild, error) {
	found, err := s.queries.ListForgottenSnapshotBuilds(ctx, before)
	if err != nil {
		return nil, fmt.Errorf("list unfinished snapshots: %w", err)
	}
	builds := make([]placedBuild, 0, len(found))
	for _, row := range found {
		builds = append(builds, placedBuild{row.ID, row.HostID})
	}
	return builds, nil
}
