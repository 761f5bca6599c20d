package builds

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

const (
	// Sizes of templates whose request names none, as E2B's clients have them.
	defaultVCPUs     = 2
	defaultMemoryMiB = 1024
	// imageDiskMiB is the disk of a template that is built from an image.
	imageDiskMiB = 10 << 10
	// imageFilesMiB is what the files of an image are assumed to take, where a client
	// asks for free space beside them.
	imageFilesMiB = 5 << 10

	mostFreeMiB = 512 << 10
	// maxWaiting is how many builds a team may have requested and not started.
	maxWaiting = 100
)

// Request is a build that a team wants.
type Request struct {
	// Name is "name", "name:tag" or either with the team's slug and a slash before it.
	Name string
	// TemplateID, an ID or a name, builds a template of the team again; Name is ignored then.
	TemplateID string
	Tags       []string
	// VCPUs and MemoryMiB are of the template; nil is the default.
	VCPUs, MemoryMiB *int32
	// MinFreeDiskMiB is how much of the disk is to be free before the steps; zero is
	// what the default size leaves.
	MinFreeDiskMiB int32
	// By is who wants it, who is a new template's creator.
	By auth.Principal
}

// Requested is a build that waits to be started.
type Requested struct {
	Build
	// Template is the build's template.
	Template templates.Template
	// AllTags are the tags that the build gets.
	AllTags []string
	// BuildCount counts the template's builds.
	BuildCount int
}

// size returns the size of the template, and checks it.
func (r Request) size() (templates.Size, error) {
	size := templates.Size{VCPUCount: defaultVCPUs, MemoryMiB: defaultMemoryMiB, DiskMiB: imageDiskMiB}
	if r.VCPUs != nil {
		size.VCPUCount = *r.VCPUs
	}
	if r.MemoryMiB != nil {
		size.MemoryMiB = *r.MemoryMiB
	}
	if r.MinFreeDiskMiB < 0 || r.MinFreeDiskMiB > mostFreeMiB {
		return size, fault.New(fault.Invalid, "minFreeDiskMb must be from 0 to %d", mostFreeMiB)
	}
	size.DiskMiB = max(size.DiskMiB, imageFilesMiB+r.MinFreeDiskMiB)
	return size, size.Validate()
}

// Request stores a build that waits to be started, on a host that is chosen for it. A
// name that the team has keeps its template.
func (s *Service) Request(ctx context.Context, teamID uuid.UUID, wanted Request) (Requested, error) {
	size, err := wanted.size()
	if err != nil {
		return Requested{}, err
	}
	store := newStore(s.pool)
	if wanted.TemplateID != "" {
		wanted.Name = wanted.TemplateID
	}
	name, err := parseName(ctx, store, teamID, wanted.Name, wanted.Tags)
	if err != nil {
		return Requested{}, err
	}
	existing, err := store.ownTemplate(ctx, teamID, name.alias)
	if err != nil && !errors.Is(err, errNoRow) {
		return Requested{}, err
	}
	if existing == "" && wanted.TemplateID != "" {
		return Requested{}, fault.New(fault.NotFound, "template %.64q was not found", wanted.TemplateID)
	}
	needs := size.Needs()
	if err := s.guard.BeforeBuild(ctx, templates.Building{TeamID: teamID, TemplateID: existing, Needs: needs}); err != nil {
		return Requested{}, err
	}
	requested := Build{
		Build: templates.Build{
			ID: uuid.New(), TemplateID: existing, Status: templates.StatusWaiting, Size: size,
		},
		TeamID: teamID, Tags: name.tags, MadeDefault: name.isDefault, MinFreeDiskMiB: wanted.MinFreeDiskMiB,
	}
	if requested, err = s.place(ctx, requested, name.alias, needs, wanted.By); err != nil {
		return Requested{}, err
	}
	template, count, err := store.template(ctx, requested.TemplateID)
	if err != nil {
		return Requested{}, err
	}
	s.logger(requested).InfoContext(ctx, "build requested", "host", requested.HostID)
	return Requested{Build: requested, Template: template, AllTags: name.all(), BuildCount: count}, nil
}

// place finds a host and stores the build. The host of the template's last build is
// preferred: it has the layers, and the uploads of builds that wait.
func (s *Service) place(ctx context.Context, wanted Build, alias string, needs scheduler.Resources, by auth.Principal) (Build, error) {
	isolation, err := placement.DemandIsolation(ctx, s.pool, wanted.TeamID, "")
	if err != nil {
		return Build{}, err
	}
	request := scheduler.Request{Needs: needs, Isolation: isolation}
	if wanted.TemplateID != "" {
		last, err := newStore(s.pool).latestHost(ctx, wanted.TemplateID)
		if err != nil && !errors.Is(err, errNoRow) {
			return Build{}, err
		}
		request.Host = last
	}
	admit := func(ctx context.Context, tx pgx.Tx) error { return mayRequest(ctx, tx, wanted.TeamID, needs) }
	var stored Build
	insert := func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) (err error) {
		stored = wanted
		stored.HostID = hostID
		stored, err = insertBuild(ctx, tx, stored, alias, by)
		return err
	}
	_, err = s.placement.PlaceBuild(ctx, request, admit, insert)
	if code := fault.CodeOf(err); request.Host != uuid.Nil && (code == fault.Unavailable || code == fault.Exhausted) {
		request.Host = uuid.Nil
		_, err = s.placement.PlaceBuild(ctx, request, admit, insert)
	}
	switch {
	case db.IsUniqueViolation(err):
		return Build{}, fault.New(fault.Conflict, "name %q was just given to another template; try again", alias)
	case db.IsForeignKeyViolation(err):
		return Build{}, fault.New(fault.Conflict, "template %q was just deleted; try again", alias)
	}
	return stored, err
}

// mayRequest locks the team's account, so that requests at once do not pass its limit.
func mayRequest(ctx context.Context, tx pgx.Tx, teamID uuid.UUID, needs scheduler.Resources) error {
	if err := usage.Lock(ctx, tx, teamID); err != nil {
		return err
	}
	building, waiting, err := newStore(tx).countUnfinished(ctx, teamID)
	if err != nil {
		return err
	}
	if waiting >= maxWaiting {
		return fault.New(fault.RateLimited, "the team has %d builds that it did not start; cancel some", waiting).Because(fault.TeamLimit)
	}
	limits, err := usage.LimitsOf(ctx, tx, teamID)
	if err != nil {
		return err
	}
	if err := limits.CheckEach(needs); err != nil {
		return err
	}
	return mayBuild(limits, building)
}

// withinLimit compares the builds that run with the team's limit.
func withinLimit(ctx context.Context, tx pgx.Tx, teamID uuid.UUID, building int64) error {
	limits, err := usage.LimitsOf(ctx, tx, teamID)
	if err != nil {
		return err
	}
	return mayBuild(limits, building)
}

func mayBuild(limits usage.Limits, building int64) error {
	if limits.MaxBuilds != nil && building >= *limits.MaxBuilds {
		return fault.New(fault.RateLimited, "the team may have %d builds running at once, and has %d of them", *limits.MaxBuilds, building).
			Because(fault.TeamLimit)
	}
	return nil
}

// insertBuild stores the template where there is none yet, ends builds of the same tags
// that were not started, and stores the build.
func insertBuild(ctx context.Context, tx pgx.Tx, wanted Build, alias string, by auth.Principal) (Build, error) {
	changes := newChanges(tx)
	if wanted.TemplateID == "" {
		wanted.TemplateID = id.NewTemplate()
		if err := changes.createTemplate(ctx, by, wanted.TeamID, wanted.TemplateID, alias); err != nil {
			return Build{}, err
		}
	}
	waiting, err := changes.waiting(ctx, wanted.TemplateID)
	if err != nil {
		return Build{}, err
	}
	for _, older := range waiting {
		if older.MadeDefault != wanted.MadeDefault || !slices.Equal(older.Tags, wanted.Tags) {
			continue
		}
		if err := changes.supersede(ctx, older.ID, wanted.ID); err != nil {
			return Build{}, err
		}
	}
	if wanted.CreatedAt, err = changes.create(ctx, wanted); err != nil {
		return Build{}, err
	}
	wanted.UpdatedAt = wanted.CreatedAt
	return wanted, changes.record(ctx)
}

// supersede ends a build that was not started; one that was started meanwhile goes on.
func (c *changes) supersede(ctx context.Context, buildID, by uuid.UUID) error {
	older, err := c.lock(ctx, buildID)
	if errors.Is(err, errNoRow) || err == nil && older.Status != templates.StatusWaiting {
		return nil
	}
	if err != nil {
		return err
	}
	return c.fail(ctx, older, build.Failure{
		Cause: build.CauseSuperseded, Message: "the build was not started before build " + by.String() + " of the same tags was requested",
	}, "")
}

// sinceWaiting is how long a build may wait to be started: an upload may take an hour.
const sinceWaiting = 3 * time.Hour

// endStale fails builds that were not started in time.
func (s *Service) endStale(ctx context.Context) error {
	stale, err := newStore(s.pool).staleWaiting(ctx, time.Now().Add(-sinceWaiting))
	if err != nil {
		return err
	}
	for _, buildID := range stale {
		err := s.change(ctx, buildID, func(tx *changes, of Build) error {
			if of.Status != templates.StatusWaiting {
				return nil
			}
			return tx.fail(ctx, of, build.Failure{
				Cause: build.CauseNotStarted, Message: "the build was not started within three hours; request it again",
			}, "")
		})
		if err != nil && !errors.Is(err, errNoRow) {
			return err
		}
	}
	return nil
}

// change changes a build under its lock, with the events of the change. It returns
// errNoRow where there is no such build.
func (s *Service) change(ctx context.Context, buildID uuid.UUID, change func(tx *changes, of Build) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		changes := newChanges(tx)
		of, err := changes.lock(ctx, buildID)
		if err != nil {
			return err
		}
		if err := change(changes, of); err != nil {
			return err
		}
		return changes.record(ctx)
	})
}

// eventOf is the data of the events of a build.
func eventOf(of Build) map[string]any {
	return map[string]any{"templateID": of.TemplateID, "vcpuCount": of.Size.VCPUCount, "memoryMB": of.Size.MemoryMiB}
}

// failedEvent returns the type and data of the event of a failure.
func failedEvent(of Build, failure build.Failure) (events.Type, map[string]any) {
	data := eventOf(of)
	data["cause"], data["step"], data["message"] = failure.Cause, failure.Step, failure.Message
	if failure.Cause == build.CauseCancelled || failure.Cause == build.CauseSuperseded {
		return events.BuildCancelled, data
	}
	return events.BuildFailed, data
}
