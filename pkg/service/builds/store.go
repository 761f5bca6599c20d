package builds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// errNoRow says that the build, template or host does not exist, or not for the team.
var errNoRow = errors.New("there is no such row")

// store maps rows to builds.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) *store { return &store{rows.New(conn)} }

// changes is the store in a transaction, with the events of what was changed.
type changes struct {
	*store
	conn    db.Conn
	pending []events.Draft
}

func newChanges(conn db.Conn) *changes { return &changes{store: newStore(conn), conn: conn} }

// record writes the events. It is the last statement of the transaction.
func (c *changes) record(ctx context.Context) error {
	return events.RecordAll(ctx, c.conn, c.pending...)
}

func (c *changes) tell(teamID uuid.UUID, kind events.Type, resourceID string, data any) {
	c.pending = append(c.pending, events.Draft{TeamID: teamID, Type: kind, ResourceID: resourceID, Data: data})
}

func orNoRow(doing string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errNoRow
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

func (s *store) teamSlug(ctx context.Context, teamID uuid.UUID) (string, error) {
	team, err := s.queries.GetTeam(ctx, teamID)
	return team.Slug, orNoRow("get team", err)
}

// ownTemplate returns the ID of a team's template by its alias or ID, and Conflict for a
// snapshot.
func (s *store) ownTemplate(ctx context.Context, teamID uuid.UUID, name string) (string, error) {
	row, err := s.queries.FindSnapshot(ctx, rows.FindSnapshotParams{TeamID: teamID, Name: name})
	if err != nil {
		return "", orNoRow("find template "+name, err)
	}
	if row.SnapshotOf != nil {
		return "", fault.New(fault.Conflict, "name %q is that of a snapshot", name)
	}
	return row.ID, nil
}

// template returns a template and how many builds it has.
func (s *store) template(ctx context.Context, templateID string) (templates.Template, int, error) {
	row, err := s.queries.GetTemplate(ctx, templateID)
	if err != nil {
		return templates.Template{}, 0, orNoRow("get template "+templateID, err)
	}
	return templates.Template{
		ID: row.ID, TeamID: row.TeamID, TeamSlug: row.TeamSlug, Aliases: row.Aliases, Public: row.Public,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, LastSpawnedAt: row.LastSpawnedAt, SpawnCount: row.SpawnCount,
		Creator: templates.CreatorOf(row.CreatedBy, row.CreatorEmail),
	}, int(row.BuildCount), nil
}

func (s *store) latestHost(ctx context.Context, templateID string) (uuid.UUID, error) {
	hostID, err := s.queries.LatestBuildHost(ctx, templateID)
	return hostID, orNoRow("find the host of template "+templateID, err)
}

func (s *store) countUnfinished(ctx context.Context, teamID uuid.UUID) (building, waiting int64, err error) {
	row, err := s.queries.CountUnfinishedBuilds(ctx, teamID)
	return row.Building, row.Waiting, orNoRow("count the builds of team "+teamID.String(), err)
}

func (c *changes) createTemplate(ctx context.Context, by auth.Principal, teamID uuid.UUID, templateID, alias string) error {
	err := c.queries.CreateBuildTemplate(ctx, rows.CreateBuildTemplateParams{
		TemplateID: templateID, TeamID: teamID, Alias: alias, UserID: unlessZero(by.UserID), KeyID: unlessZero(by.KeyID),
	})
	if err != nil {
		return fmt.Errorf("store template %s: %w", alias, err)
	}
	c.tell(teamID, events.TemplateCreated, templateID, map[string]bool{"public": false})
	return nil
}

func unlessZero(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func (c *changes) create(ctx context.Context, wanted Build) (time.Time, error) {
	createdAt, err := c.queries.CreateBuildRequest(ctx, rows.CreateBuildRequestParams{
		BuildID: wanted.ID, TemplateID: wanted.TemplateID, MadeDefault: wanted.MadeDefault, TeamID: wanted.TeamID, HostID: wanted.HostID,
		VCPUCount: wanted.Size.VCPUCount, MemoryMiB: wanted.Size.MemoryMiB, DiskMiB: wanted.Size.DiskMiB,
		Tags: wanted.Tags, MinFreeDiskMiB: wanted.MinFreeDiskMiB,
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("store build %s: %w", wanted.ID, err)
	}
	return createdAt, nil
}

// waiting returns the builds of a template that were not started, the newest first, with
// their IDs, hosts and tags alone.
func (s *store) waiting(ctx context.Context, templateID string) ([]Build, error) {
	found, err := s.queries.ListWaitingBuilds(ctx, templateID)
	if err != nil {
		return nil, fmt.Errorf("list waiting builds of template %s: %w", templateID, err)
	}
	waiting := make([]Build, 0, len(found))
	for _, row := range found {
		waiting = append(waiting, Build{
			Build:  templates.Build{ID: row.BuildID, TemplateID: templateID, Status: templates.StatusWaiting},
			HostID: row.HostID, Tags: row.Tags, MadeDefault: row.MadeDefault,
		})
	}
	return waiting, nil
}

func (s *store) staleWaiting(ctx context.Context, before time.Time) ([]uuid.UUID, error) {
	stale, err := s.queries.ListStaleWaitingBuilds(ctx, before)
	return stale, orNoRow("list builds that were not started", err)
}

func buildOf(request rows.BuildRequest, row rows.TemplateBuild) (Build, error) {
	of := Build{
		Build: templates.Build{
			ID: row.ID, TemplateID: row.TemplateID, Status: templates.BuildStatus(row.Status),
			Size:        templates.Size{VCPUCount: row.VCPUCount, MemoryMiB: row.MemoryMiB, DiskMiB: row.DiskMiB},
			EnvdVersion: row.EnvdVersion, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, FinishedAt: row.FinishedAt,
		},
		TeamID: request.TeamID, HostID: request.HostID, FilesHostID: request.FilesHostID, Tags: request.Tags, MadeDefault: row.MadeDefault,
		MinFreeDiskMiB: request.MinFreeDiskMiB, CancelWanted: request.CancelWanted, Attempt: request.Attempt,
		startedAt: orZero(request.StartedAt),
		Failure:   build.Failure{Cause: build.Cause(request.FailureCause), Step: request.FailureStep, Message: request.Failure},
		sealed:    request.SealedConfidential, logSequence: request.LogSequence, logEntries: request.LogEntries, logBytes: request.LogBytes,
	}
	if request.Definition != nil {
		if err := json.Unmarshal(request.Definition, &of.Definition); err != nil {
			return Build{}, fmt.Errorf("read the definition of build %s: %w", row.ID, err)
		}
	}
	return of, nil
}

func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// hostState is how the host of a build is.
type hostState struct {
	state lifecycle.HostState
	since time.Time
}

func (s *store) get(ctx context.Context, buildID uuid.UUID) (Build, hostState, error) {
	row, err := s.queries.GetBuildRequest(ctx, buildID)
	if err != nil {
		return Build{}, hostState{}, orNoRow("get build "+buildID.String(), err)
	}
	of, err := buildOf(row.BuildRequest, row.TemplateBuild)
	return of, hostState{row.HostState, row.HostStateChangedAt}, err
}

// lock holds a build until the transaction ends.
func (s *store) lock(ctx context.Context, buildID uuid.UUID) (Build, error) {
	row, err := s.queries.LockBuildRequest(ctx, buildID)
	if err != nil {
		return Build{}, orNoRow("lock build "+buildID.String(), err)
	}
	return buildOf(row.BuildRequest, row.TemplateBuild)
}

// start makes a waiting build one that is worked on.
func (c *changes) start(ctx context.Context, of Build) error {
	definition, err := json.Marshal(of.Definition)
	if err != nil {
		return fmt.Errorf("encode the definition of build %s: %w", of.ID, err)
	}
	err = c.queries.StartBuildRequest(ctx, rows.StartBuildRequestParams{BuildID: of.ID, Definition: definition, SealedConfidential: of.sealed})
	if err != nil {
		return fmt.Errorf("store the start of build %s: %w", of.ID, err)
	}
	c.tell(of.TeamID, events.BuildStarted, of.ID.String(), eventOf(of))
	return nil
}

// claim makes a control plane the one that drives a build. It returns false where that is
// another, or where the build has ended.
func (s *store) claim(ctx context.Context, buildID uuid.UUID, turn, claimant int32) (bool, error) {
	claimed, err := s.queries.ClaimBuild(ctx, rows.ClaimBuildParams{BuildID: buildID, Turn: turn, Claimant: claimant})
	if err != nil {
		return false, fmt.Errorf("claim build %s: %w", buildID, err)
	}
	return claimed > 0, nil
}

func (s *store) release(ctx context.Context, buildID uuid.UUID, claimant int32) error {
	if err := s.queries.ReleaseBuild(ctx, rows.ReleaseBuildParams{BuildID: buildID, Claimant: claimant}); err != nil {
		return fmt.Errorf("release build %s: %w", buildID, err)
	}
	return nil
}

// abandoned begins another turn of builds that no control plane drives, and returns the
// jobs of it.
func (s *store) abandoned(ctx context.Context, idleSince time.Time) ([]Job, error) {
	found, err := s.queries.TurnAbandonedBuilds(ctx, idleSince)
	if err != nil {
		return nil, fmt.Errorf("look for builds without a control plane: %w", err)
	}
	jobs := make([]Job, 0, len(found))
	for _, row := range found {
		jobs = append(jobs, Job{BuildID: row.BuildID, Turn: row.Turn})
	}
	return jobs, nil
}

func (s *store) unfinishedOfTeam(ctx context.Context, teamID uuid.UUID) ([]uuid.UUID, error) {
	found, err := s.queries.ListUnfinishedBuildsOfTeam(ctx, teamID)
	return found, orNoRow("list the builds of team "+teamID.String(), err)
}

func (s *store) unfinishedOfTemplate(ctx context.Context, templateID string) ([]uuid.UUID, error) {
	found, err := s.queries.ListUnfinishedBuildsOfTemplate(ctx, templateID)
	return found, orNoRow("list the builds of template "+templateID, err)
}

func (s *store) wantCancelled(ctx context.Context, buildID uuid.UUID) error {
	return orNoRow("cancel build "+buildID.String(), s.queries.WantBuildCancelled(ctx, buildID))
}

// handOver begins the next turn of a build, and returns errNoRow where the claimant does
// not drive it.
func (s *store) handOver(ctx context.Context, buildID uuid.UUID, claimant int32) (int32, error) {
	turn, err := s.queries.HandOverBuild(ctx, rows.HandOverBuildParams{BuildID: buildID, Claimant: claimant})
	return turn, orNoRow("hand over build "+buildID.String(), err)
}

// beginAttempt counts that a host is about to be told to start a build, whose log begins
// again then.
func (s *store) beginAttempt(ctx context.Context, buildID uuid.UUID) error {
	return orNoRow("count an attempt of build "+buildID.String(), s.queries.BeginBuildAttempt(ctx, buildID))
}

// uncountAttempt is for a host that has refused to start a build.
func (s *store) uncountAttempt(ctx context.Context, buildID uuid.UUID) error {
	return orNoRow("count an attempt of build "+buildID.String(), s.queries.UncountBuildAttempt(ctx, buildID))
}

// openUsage counts the usage of a build from now on.
func (s *store) openUsage(ctx context.Context, of Build) error {
	return orNoRow("count the usage of build "+of.ID.String(), s.queries.OpenBuildUsage(ctx, rows.OpenBuildUsageParams{
		BuildID: of.ID, TeamID: of.TeamID, VCPUCount: of.Size.VCPUCount, MemoryMiB: of.Size.MemoryMiB,
	}))
}

func (s *store) move(ctx context.Context, buildID, hostID uuid.UUID) error {
	return orNoRow("move build "+buildID.String(), s.queries.MoveBuild(ctx, rows.MoveBuildParams{BuildID: buildID, HostID: hostID}))
}

func (s *store) setFilesHost(ctx context.Context, buildID, hostID uuid.UUID) error {
	return orNoRow("store where the files of build "+buildID.String()+" are",
		s.queries.SetBuildFilesHost(ctx, rows.SetBuildFilesHostParams{BuildID: buildID, HostID: hostID}))
}

// finish stores that a build is ready on its host, with its tags.
func (c *changes) finish(ctx context.Context, of Build, ready build.Template, imageDigest string) error {
	err := c.queries.FinishBuild(ctx, rows.FinishBuildParams{
		BuildID: of.ID, HostID: of.HostID, ImageDigest: imageDigest, EnvdVersion: ready.EnvdVersion,
		VCPUCount: ready.VCPUCount, MemoryMiB: ready.MemoryMiB, DiskMiB: ready.DiskMiB,
		Driver: ready.MadeBy.Driver, Accelerator: ready.MadeBy.Accelerator,
	})
	if err != nil {
		return fmt.Errorf("store that build %s is ready: %w", of.ID, err)
	}
	if err := c.queries.AssignBuildTags(ctx, rows.AssignBuildTagsParams{Tags: of.Tags, TemplateID: of.TemplateID, BuildID: of.ID}); err != nil {
		return fmt.Errorf("tag build %s: %w", of.ID, err)
	}
	if err := c.queries.CloseBuildUsage(ctx, of.ID); err != nil {
		return fmt.Errorf("count the usage of build %s: %w", of.ID, err)
	}
	c.tell(of.TeamID, events.TemplateBuilt, of.TemplateID, map[string]uuid.UUID{"buildID": of.ID})
	c.tell(of.TeamID, events.BuildReady, of.ID.String(), eventOf(of))
	return nil
}

// fail stores why a build has failed. Its host may work on it all the same, or have finished
// it and not said so: Sweep removes that.
func (c *changes) fail(ctx context.Context, of Build, failure build.Failure, imageDigest string) error {
	if of.Attempt > 0 {
		if err := c.addStray(ctx, placedBuild{of.ID, of.HostID}); err != nil {
			return err
		}
	}
	err := c.queries.FailBuild(ctx, rows.FailBuildParams{
		BuildID: of.ID, Cause: string(failure.Cause), Step: failure.Step, Message: explain(failure), ImageDigest: imageDigest,
	})
	if err != nil {
		return fmt.Errorf("store that build %s has failed: %w", of.ID, err)
	}
	if err := c.queries.CloseBuildUsage(ctx, of.ID); err != nil {
		return fmt.Errorf("count the usage of build %s: %w", of.ID, err)
	}
	kind, data := failedEvent(of, failure)
	if kind == events.BuildFailed {
		c.tell(of.TeamID, events.TemplateBuildFailed, of.TemplateID, map[string]uuid.UUID{"buildID": of.ID})
	}
	c.tell(of.TeamID, kind, of.ID.String(), data)
	return nil
}

func (c *changes) deleteTemplate(ctx context.Context, templateID string) error {
	gone, err := c.queries.DeleteBuiltTemplate(ctx, templateID)
	if err != nil {
		return fmt.Errorf("delete template %s: %w", templateID, err)
	}
	for _, row := range gone {
		if row.TeamID != nil {
			c.tell(*row.TeamID, events.TemplateDeleted, row.ID, map[string]bool{"public": row.Public})
		}
	}
	return nil
}

// baseBuild is the ready build that a template is built from.
type baseBuild struct {
	id      uuid.UUID
	diskMiB int32
	// here says that the host has it.
	here bool
}

func (s *store) baseBuild(ctx context.Context, teamID, hostID uuid.UUID, name templates.Name) (baseBuild, error) {
	params := rows.FindBaseBuildParams{HostID: hostID, Name: name.Alias(), TeamID: teamID, TeamSlug: name.Team()}
	if buildID, err := uuid.Parse(name.Alias()); err == nil {
		params.BuildID = &buildID
	}
	if tag, tagged := name.Tag(); tagged && tag != defaultTag {
		params.Tag = tag
		if buildID, err := uuid.Parse(tag); err == nil {
			params.TaggedBuildID = &buildID
		}
	}
	row, err := s.queries.FindBaseBuild(ctx, params)
	if err != nil {
		return baseBuild{}, orNoRow("find the base of a build", err)
	}
	return baseBuild{id: row.BuildID, diskMiB: row.DiskMiB, here: row.Here}, nil
}
