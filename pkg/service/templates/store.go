package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// errNoRow says that the template, build or snapshot does not exist, or not for the team.
var errNoRow = errors.New("there is no such row")

// store maps rows to templates, builds, tags and snapshots.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) *store { return &store{rows.New(conn)} }

// changes is the store in a transaction, with the events of what was changed.
type changes struct {
	*store
	conn    db.Conn
	pending []events.Draft
}

// inTransaction writes the events of the changes at the end of the transaction.
func inTransaction(ctx context.Context, pool *pgxpool.Pool, work func(tx *changes) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		made := &changes{store: newStore(tx), conn: tx}
		if err := work(made); err != nil {
			return err
		}
		return events.RecordAll(ctx, tx, made.pending...)
	})
}

// tell adds an event to those of the transaction. Without a team it is the
// installation's.
func (c *changes) tell(teamID *uuid.UUID, kind events.Type, resourceID string, data any) {
	draft := events.Draft{TeamID: events.Installation, Type: kind, ResourceID: resourceID, Data: data}
	if teamID != nil {
		draft.TeamID = *teamID
	}
	c.pending = append(c.pending, draft)
}

// templateData and buildData are the data of the events of templates and builds.
func templateData(public bool) map[string]bool { return map[string]bool{"public": public} }

func buildData(buildID uuid.UUID) map[string]uuid.UUID {
	return map[string]uuid.UUID{"buildID": buildID}
}

func orNoRow(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errNoRow
	}
	return err
}

func (s *store) teamSlug(ctx context.Context, teamID uuid.UUID) (string, error) {
	team, err := s.queries.GetTeam(ctx, teamID)
	if err != nil {
		return "", fmt.Errorf("get team %s: %w", teamID, err)
	}
	return team.Slug, nil
}

// find returns a template that a team may use.
func (s *store) find(ctx context.Context, teamID uuid.UUID, wanted Name) (Template, error) {
	row, err := s.queries.FindTemplate(ctx, rows.FindTemplateParams{TeamID: teamID, TeamSlug: wanted.team, Name: wanted.name})
	if err != nil {
		return Template{}, orNoRow(err)
	}
	return Template{
		ID: row.ID, TeamID: row.TeamID, TeamSlug: row.TeamSlug, Aliases: row.Aliases, Public: row.Public,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, LastSpawnedAt: row.LastSpawnedAt, SpawnCount: row.SpawnCount,
	}, nil
}

// list returns at most a number of the templates that a team sees, newest first, after a
// place.
func (s *store) list(ctx context.Context, teamID uuid.UUID, after cursor.Cursor, most int) ([]Listed, error) {
	found, err := s.queries.ListTemplates(ctx, rows.ListTemplatesParams{
		TeamID: teamID, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	listed := make([]Listed, 0, len(found))
	for _, row := range found {
		listed = append(listed, Listed{
			Template: Template{
				ID: row.ID, TeamID: row.TeamID, TeamSlug: row.TeamSlug, Aliases: row.Aliases, Public: row.Public,
				CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, LastSpawnedAt: row.LastSpawnedAt, SpawnCount: row.SpawnCount,
				Creator: CreatorOf(row.CreatedBy, row.CreatorEmail),
			},
			Newest: Build{
				ID: row.BuildID, TemplateID: row.ID, Status: BuildStatus(row.Status),
				Size: Size{VCPUCount: row.VCPUCount, MemoryMiB: row.MemoryMiB, DiskMiB: row.DiskMiB}, EnvdVersion: row.EnvdVersion,
			},
			BuildCount: int(row.BuildCount),
		})
	}
	return listed, nil
}

func (c *changes) publish(ctx context.Context, template Template, public bool) error {
	changed, err := c.queries.PublishTemplate(ctx, rows.PublishTemplateParams{ID: template.ID, Public: public})
	if err != nil {
		return fmt.Errorf("publish template %s: %w", template.ID, err)
	}
	if changed > 0 {
		c.tell(template.TeamID, events.TemplateUpdated, template.ID, templateData(public))
	}
	return nil
}

func buildOf(row rows.TemplateBuild) Build {
	return Build{
		ID: row.ID, TemplateID: row.TemplateID, Status: BuildStatus(row.Status),
		Size:        Size{VCPUCount: row.VCPUCount, MemoryMiB: row.MemoryMiB, DiskMiB: row.DiskMiB},
		EnvdVersion: row.EnvdVersion, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, FinishedAt: row.FinishedAt,
	}
}

// builds returns at most a number of a template's builds, newest first, after a place.
func (s *store) builds(ctx context.Context, templateID string, after cursor.Cursor, most int) ([]Build, error) {
	found, err := s.queries.ListBuilds(ctx, rows.ListBuildsParams{
		TemplateID: templateID, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list builds of template %s: %w", templateID, err)
	}
	builds := make([]Build, 0, len(found))
	for _, row := range found {
		builds = append(builds, buildOf(row))
	}
	return builds, nil
}

func (s *store) build(ctx context.Context, templateID string, buildID uuid.UUID) (Build, error) {
	row, err := s.queries.GetBuild(ctx, rows.GetBuildParams{ID: buildID, TemplateID: templateID})
	return buildOf(row), orNoRow(err)
}

// startable returns the build that a team's new sandboxes of a template begin as.
func (s *store) startable(ctx context.Context, teamID uuid.UUID, wanted Name, demand sandbox.Isolation) (Startable, error) {
	params := rows.FindStartableBuildParams{
		Name: wanted.name, TeamID: teamID, TeamSlug: wanted.team, Drivers: append([]string{}, demand.Drivers()...),
	}
	if buildID, err := uuid.Parse(wanted.name); err == nil {
		params.BuildID = &buildID
	}
	if wanted.tag != newestTag {
		params.Tag = wanted.tag
		if buildID, err := uuid.Parse(wanted.tag); err == nil {
			params.TaggedBuildID = &buildID
		}
	}
	row, err := s.queries.FindStartableBuild(ctx, params)
	if err != nil {
		return Startable{}, orNoRow(err)
	}
	return Startable{
		TemplateID: row.TemplateID, Alias: row.Alias, BuildID: row.BuildID,
		Size: Size{VCPUCount: row.VCPUCount, MemoryMiB: row.MemoryMiB, DiskMiB: row.DiskMiB}, EnvdVersion: row.EnvdVersion,
	}, nil
}

// hasSeenHost says whether a host has ever said what it has.
func (s *store) hasSeenHost(ctx context.Context) (bool, error) {
	seen, err := s.queries.HasSeenHost(ctx)
	if err != nil {
		return false, fmt.Errorf("look for hosts: %w", err)
	}
	return seen, nil
}
