package templates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// unfinishedAfter is longer than any host takes to take a snapshot.
const unfinishedAfter = 10 * time.Minute

// Snapshot is the state of a sandbox at one moment, from which others are created by its
// ID or one of its names.
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

// SnapshotHost is a host that takes and deletes snapshots.
type SnapshotHost interface {
	SnapshotSandbox(ctx context.Context, sandboxID, buildID string, withoutMemory bool) (host.Template, error)
	DeleteSnapshot(ctx context.Context, buildID string) error
}

// CheckedName is a team's name for a snapshot, as SnapshotName returns it.
type CheckedName struct{ team, alias, tag string }

func (n CheckedName) isDefault() bool { return n.tag == newestTag }

// references returns a snapshot's ID and names as clients see them.
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

// SnapshotName checks a team's name for a snapshot; "" is none.
func (t *Service) SnapshotName(ctx context.Context, teamID uuid.UUID, text string) (CheckedName, error) {
	slug, err := newStore(t.pool).teamSlug(ctx, teamID)
	if err != nil {
		return CheckedName{}, err
	}
	if text == "" {
		return CheckedName{team: slug, tag: newestTag}, nil
	}
	parsed, err := ParseName("name", text)
	if err != nil {
		return CheckedName{}, err
	}
	if _, err := uuid.Parse(parsed.tag); err == nil {
		return CheckedName{}, fault.New(fault.Invalid, "name: a build's ID cannot be a tag")
	}
	if parsed.team != "" && parsed.team != slug {
		return CheckedName{}, fault.New(fault.Forbidden, "name: the team's own snapshots are named %s/…, not %.128s/…", slug, parsed.team)
	}
	return CheckedName{team: slug, alias: parsed.name, tag: parsed.tag}, nil
}

// TakeSnapshot takes a snapshot of a running sandbox. Where it fails nothing is left of
// the snapshot.
func (t *Service) TakeSnapshot(ctx context.Context, running sandbox.Sandbox, name CheckedName, withoutMemory bool) (Snapshot, error) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	build, err := t.begin(ctx, newBuild{
		id: uuid.New(), teamID: running.TeamID, hostID: running.HostID, sandboxID: running.ID, name: name,
		size:        Size{VCPUCount: running.VCPUCount, MemoryMiB: running.MemoryMiB, DiskMiB: running.DiskMiB},
		envdVersion: running.EnvdVersion,
	})
	if err != nil {
		return Snapshot{}, err
	}
	if err := t.finish(ctx, build, withoutMemory); err != nil {
		t.deleteBuild(ctx, placedBuild{build.id, build.hostID})
		return Snapshot{}, err
	}
	taken := Snapshot{ID: build.templateID}
	var aliases []string
	if name.alias != "" {
		aliases = append(aliases, name.alias)
	}
	taken.Reference, taken.Names = references(build.templateID, name.team, aliases, name.tag)
	return taken, nil
}

// begin stores the build before its host takes it, so that it is deleted whatever
// happens. It returns the build with the ID of its snapshot.
func (t *Service) begin(ctx context.Context, build newBuild) (newBuild, error) {
	if build.name.alias != "" {
		existing, err := t.findSnapshot(ctx, build.teamID, build.name.alias)
		if err == nil {
			build.templateID = existing
			err = inTransaction(ctx, t.pool, func(tx *changes) error {
				if err := tx.requireSnapshotRoom(ctx, build.teamID); err != nil {
					return err
				}
				return tx.beginBuild(ctx, build)
			})
			if errors.Is(err, errNoRow) {
				err = fault.New(fault.Conflict, "snapshot %s was just deleted; try again", existing)
			}
		}
		if !errors.Is(err, errNoRow) {
			return build, err
		}
	}
	build.templateID = id.NewTemplate()
	err := inTransaction(ctx, t.pool, func(tx *changes) error {
		if err := tx.requireSnapshotRoom(ctx, build.teamID); err != nil {
			return err
		}
		return tx.beginSnapshot(ctx, build)
	})
	if db.IsUniqueViolation(err) {
		err = fault.New(fault.Conflict, "name %q was just given to another snapshot; try again", build.name.alias)
	}
	return build, err
}

// finish has the host take the snapshot.
func (t *Service) finish(ctx context.Context, build newBuild, withoutMemory bool) error {
	taken, err := t.hosts(build.hostID).SnapshotSandbox(ctx, build.sandboxID, build.id.String(), withoutMemory)
	if err != nil {
		return err
	}
	build.size = Size{VCPUCount: taken.VCPUCount, MemoryMiB: taken.MemoryMiB, DiskMiB: taken.DiskMiB}
	build.envdVersion, build.madeBy = taken.EnvdVersion, taken.MadeBy
	err = inTransaction(ctx, t.pool, func(tx *changes) error {
		if err := tx.finishBuild(ctx, build); err != nil || build.name.isDefault() {
			return err
		}
		return tx.assignTags(ctx, build.templateID, build.id, []string{build.name.tag})
	})
	if errors.Is(err, errNoRow) {
		return fault.New(fault.Conflict, "the snapshot was deleted while it was taken")
	}
	return err
}

// deleteBuild deletes a build of a snapshot that was not finished. If its host is away
// SweepSnapshots tries again.
func (t *Service) deleteBuild(ctx context.Context, build placedBuild) {
	err := t.hosts(build.hostID).DeleteSnapshot(ctx, build.id.String())
	if err == nil {
		err = inTransaction(ctx, t.pool, func(tx *changes) error { return tx.deleteBuild(ctx, build.id) })
	}
	if err != nil {
		t.log.WarnContext(ctx, "delete an unfinished snapshot, will try again", "build", build.id, "error", err)
	}
}

// SweepSnapshots deletes unfinished snapshots whose control plane has died.
func (t *Service) SweepSnapshots(ctx context.Context) error {
	unfinished, err := newStore(t.pool).unfinishedBuilds(ctx, time.Now().Add(-unfinishedAfter))
	if err != nil {
		return err
	}
	for _, build := range unfinished {
		t.deleteBuild(ctx, build)
	}
	return nil
}

// DeleteSnapshot deletes a snapshot by its ID or name, with all its builds. What was
// created from it runs on. It returns NotFound for a template that is no snapshot.
func (t *Service) DeleteSnapshot(ctx context.Context, teamID uuid.UUID, snapshotID string) error {
	missing := fault.New(fault.NotFound, "snapshot %.64q was not found", snapshotID)
	if !id.IsTemplate(snapshotID) {
		return missing
	}
	snapshot, err := t.findSnapshot(ctx, teamID, snapshotID)
	if fault.Is(err, fault.Conflict) || errors.Is(err, errNoRow) {
		return missing
	}
	if err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	builds, err := newStore(t.pool).buildsOfSnapshot(ctx, snapshot)
	if err != nil {
		return err
	}
	// The row is deleted last: as long as a host has a build of it, it can be found.
	for _, build := range builds {
		if err := t.hosts(build.hostID).DeleteSnapshot(ctx, build.id.String()); err != nil {
			return err
		}
	}
	return inTransaction(ctx, t.pool, func(tx *changes) error { return tx.deleteSnapshot(ctx, snapshot) })
}

// findSnapshot finds the ID of a team's snapshot by ID or name. It returns errNoRow where
// there is none, and Conflict where a built template has the name.
func (t *Service) findSnapshot(ctx context.Context, teamID uuid.UUID, name string) (string, error) {
	found, isSnapshot, err := newStore(t.pool).findSnapshot(ctx, teamID, name)
	switch {
	case errors.Is(err, errNoRow):
		return "", err
	case err != nil:
		return "", fmt.Errorf("find snapshot %s: %w", name, err)
	case !isSnapshot:
		return "", fault.New(fault.Conflict, "name %q is that of a template", name)
	}
	return found, nil
}
