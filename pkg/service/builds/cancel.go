package builds

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// cancelPatience is how long a cancel waits for the end of the build.
	cancelPatience = 10 * time.Second
	cancelPoll     = 50 * time.Millisecond
)

// Cancel cancels a build of a team. It succeeds for a build that was cancelled already,
// and returns Conflict for one that is ready or has failed.
func (s *Service) Cancel(ctx context.Context, teamID uuid.UUID, template, buildID string) error {
	of, err := s.findOwn(ctx, teamID, template, buildID)
	if err != nil {
		return err
	}
	if of.Failure.Cause == cancelled().Cause {
		return nil
	}
	ended := fault.New(fault.Conflict, "build %s has ended already", of.ID)
	if of.Status != templates.StatusWaiting && of.Status != templates.StatusBuilding {
		return ended
	}
	after, err := s.cancel(ctx, of.ID)
	if err == nil && after.Status == templates.StatusReady {
		return ended
	}
	return err
}

// cancel asks for the end of a build, ends it on its host, and waits a while until that is
// stored. It returns the build as it is then.
func (s *Service) cancel(ctx context.Context, buildID uuid.UUID) (Build, error) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	var of Build
	err := s.change(ctx, buildID, func(tx *changes, locked Build) error {
		of = locked
		switch of.Status {
		case templates.StatusWaiting:
			return tx.fail(ctx, of, cancelled(), "")
		case templates.StatusBuilding:
			return tx.wantCancelled(ctx, buildID)
		default:
			return nil
		}
	})
	if err != nil || of.Status != templates.StatusBuilding {
		return of, err
	}
	if of.Attempt > 0 {
		// What drives the build cancels it too, if this fails.
		if err := s.hosts(of.HostID).CancelBuild(ctx, buildID.String()); err != nil {
			s.logger(of).WarnContext(ctx, "cancel a build on its host, will try again", "error", err)
		}
	}
	for deadline := time.Now().Add(cancelPatience); of.Status == templates.StatusBuilding && time.Now().Before(deadline); {
		wait.For(ctx, cancelPoll)
		if of, _, err = newStore(s.pool).get(ctx, buildID); err != nil {
			return of, err
		}
	}
	return of, nil
}

// CancelOfTeam cancels a team's builds, and returns how many were cancelled and how many
// could not be.
func (s *Service) CancelOfTeam(ctx context.Context, teamID uuid.UUID) (cancelled, failed int, err error) {
	if err := usage.RequireTeam(ctx, s.pool, teamID); err != nil {
		return 0, 0, err
	}
	unfinished, err := newStore(s.pool).unfinishedOfTeam(ctx, teamID)
	if err != nil {
		return 0, 0, err
	}
	for _, buildID := range unfinished {
		switch _, err := s.cancel(ctx, buildID); {
		case errors.Is(err, errNoRow): // deleted meanwhile
		case err != nil:
			s.log.WarnContext(ctx, "cancel a build", "build", buildID, "error", err)
			failed++
		default:
			cancelled++
		}
	}
	return cancelled, failed, nil
}

// DeleteTemplate deletes a template of a team, which is no snapshot, with its builds. What
// was created from it runs on.
func (s *Service) DeleteTemplate(ctx context.Context, teamID uuid.UUID, name string) error {
	missing := fault.New(fault.NotFound, "template %.64q was not found", name)
	parsed, err := templates.ParseName("templateID", name)
	if err != nil {
		return missing
	}
	store := newStore(s.pool)
	templateID, err := store.ownTemplate(ctx, teamID, parsed.Alias())
	if errors.Is(err, errNoRow) {
		return missing
	}
	if err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	unfinished, err := store.unfinishedOfTemplate(ctx, templateID)
	if err != nil {
		return err
	}
	for _, buildID := range unfinished {
		after, err := s.cancel(ctx, buildID)
		if err != nil && !errors.Is(err, errNoRow) {
			return err
		}
		if after.Status == templates.StatusBuilding && after.FinishedAt == nil {
			return fault.New(fault.Conflict, "build %s of the template is still being cancelled; try again", buildID)
		}
	}
	placed, err := store.placedOfTemplate(ctx, templateID)
	if err != nil {
		return err
	}
	// The rows are deleted last: as long as a host has a build, it can be found.
	for _, build := range placed {
		if err := s.hosts(build.hostID).DeleteSnapshot(ctx, build.id.String()); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		changes := newChanges(tx)
		if err := changes.deleteTemplate(ctx, templateID); err != nil {
			return err
		}
		return changes.record(ctx)
	})
}
