package builds

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// begin has the host start a build that it does not know.
func (d *driver) begin(ctx context.Context, of Build) error {
	if of.Attempt >= maxAttempts {
		return d.fail(ctx, build.Failure{
			Cause:   build.CauseInternal,
			Message: fmt.Sprintf("the agent of the build's host was restarted %d times during the build", of.Attempt),
		})
	}
	start := build.Start{
		BuildID: of.ID.String(), TeamID: of.TeamID.String(), TemplateID: of.TemplateID, Definition: of.Definition,
		VCPUCount: of.Size.VCPUCount, MemoryMiB: of.Size.MemoryMiB, DiskMiB: of.Size.DiskMiB,
	}
	if done, err := d.resolve(ctx, of, &start); done || err != nil {
		return err
	}
	if done, err := d.bringFiles(ctx, of); done || err != nil {
		return err
	}
	var err error
	if start.Confidential, err = d.open(of); err != nil {
		d.log.ErrorContext(ctx, "open the credentials of a build", "error", err)
		return d.fail(ctx, build.Failure{
			Cause: build.CauseInternal, Step: build.StepBase, Message: "the credentials of the build cannot be opened; start another build",
		})
	}
	if of.Attempt > 0 {
		const text = "the agent of the host was restarted; the build begins again from the layers that it has stored"
		if err := d.note(ctx, build.LogEntry{At: time.Now(), Level: build.LevelWarn, Step: build.StepBase, Text: text}); err != nil {
			return err
		}
	}
	if err := newStore(d.pool).beginAttempt(ctx, of.ID); err != nil {
		return err
	}
	if err := d.hosts(of.HostID).StartBuild(ctx, start); err != nil {
		return d.refused(ctx, of, err)
	}
	d.roomSince = time.Time{}
	d.log.InfoContext(ctx, "build runs on its host", "host", of.HostID, "attempt", of.Attempt+1)
	return newStore(d.pool).openUsage(ctx, of)
}

// refused decides what follows where a host has not started a build.
func (d *driver) refused(ctx context.Context, of Build, err error) error {
	switch code := fault.CodeOf(err); {
	case code == fault.Unsupported:
		return d.fail(ctx, unsupported(err))
	case code == fault.Exhausted:
		if err := newStore(d.pool).uncountAttempt(ctx, of.ID); err != nil {
			return err
		}
		return d.awaitRoom(ctx, err)
	case code == fault.Invalid, fault.ReasonOf(err) == fault.CreateRefused:
		return d.fail(ctx, build.Failure{Cause: build.CauseRefused, Step: build.StepBase, Message: messageOf(err)})
	default:
		return err
	}
}

// awaitRoom has the build started again later, for a while.
func (d *driver) awaitRoom(ctx context.Context, full error) error {
	switch {
	case d.roomSince.IsZero():
		d.roomSince = time.Now()
		note := build.LogEntry{At: d.roomSince, Level: build.LevelInfo, Step: build.StepBase, Text: "waiting for room on the host"}
		if err := d.note(ctx, note); err != nil {
			return err
		}
	case time.Since(d.roomSince) > d.patience.room:
		return d.fail(ctx, build.Failure{Cause: build.CauseNoSpace, Step: build.StepBase, Message: messageOf(full)})
	}
	return errWaiting
}

// resolve finds the builds that the templates of a definition stand for. It returns true
// where the build has failed or was moved instead.
func (d *driver) resolve(ctx context.Context, of Build, start *build.Start) (done bool, err error) {
	start.Builds = map[string]string{}
	for i, stage := range of.Definition.Stages {
		wanted := stage.Base.Template
		if wanted == "" {
			continue
		}
		var base baseBuild
		name, err := templates.ParseName("fromTemplate", wanted)
		if err == nil {
			base, err = newStore(d.pool).baseBuild(ctx, of.TeamID, of.HostID, name)
		}
		switch {
		case errors.Is(err, errNoRow) || fault.Is(err, fault.Invalid):
			return true, d.fail(ctx, build.Failure{
				Cause: build.CauseBaseNotFound, Step: build.StepBase,
				Message: fmt.Sprintf("template %.200q was not found, or has no build that is ready", wanted),
			})
		case err != nil:
			return false, err
		case !base.here:
			return true, d.relocate(ctx, of, hostState{state: lifecycle.HostReady}, base.id, fmt.Sprintf("template %.200q is on another host than the build", wanted))
		}
		start.Builds[wanted] = base.id.String()
		if i == len(of.Definition.Stages)-1 {
			start.DiskMiB = base.diskMiB + of.MinFreeDiskMiB
		}
	}
	return false, nil
}

// relocate gives a build another host, one that has a build unless that is the zero UUID.
// A build fails instead whose uploads are on a host that is lost, and one for which there is
// no host.
func (d *driver) relocate(ctx context.Context, of Build, host hostState, base uuid.UUID, why string) error {
	if err := d.end(ctx, of); err != nil {
		return err
	}
	if of.CancelWanted {
		return d.fail(ctx, cancelled())
	}
	failure := build.Failure{Cause: build.CauseHostGone, Step: build.StepBase}
	lost := host.state == lifecycle.HostUnreachable || host.state == lifecycle.HostRetired
	if lost && len(of.Definition.Files()) > 0 && of.FilesHostID != nil && *of.FilesHostID == of.HostID {
		failure.Message = why + ", and the uploaded files are on that host alone; start another build, which gets another host"
		return d.fail(ctx, failure)
	}
	needs := scheduler.Resources{VCPUs: int64(of.Size.VCPUCount), MemoryMiB: int64(of.Size.MemoryMiB), DiskMiB: int64(of.Size.DiskMiB)}
	isolation, err := placement.DemandIsolation(ctx, d.pool, of.TeamID, "")
	if err != nil {
		return err
	}
	_, err = d.placement.PlaceBuild(ctx, scheduler.Request{Needs: needs, Avoid: []uuid.UUID{of.HostID}, Build: base, Isolation: isolation},
		// Before the room of a host, as at a build's end.
		func(ctx context.Context, tx pgx.Tx) error { _, err := newStore(tx).lock(ctx, of.ID); return err },
		func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) error {
			return newStore(tx).move(ctx, of.ID, hostID)
		})
	switch code := fault.CodeOf(err); {
	case code == fault.Unavailable || code == fault.Exhausted || code == fault.Conflict:
		failure.Message = why + ", and no other host can have the build at the moment; start another build later"
		if base != uuid.Nil {
			failure.Message = why + ", and no host that has the template is ready and has room; start another build later"
		}
		return d.fail(ctx, failure)
	case err != nil:
		return err
	}
	d.log.InfoContext(ctx, "build was given another host", "from", of.HostID, "why", why)
	return d.note(ctx, build.LogEntry{At: time.Now(), Level: build.LevelWarn, Step: build.StepBase, Text: why + "; another host goes on"})
}
