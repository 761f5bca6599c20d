package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// BuildPage is one page of a template's builds.
type BuildPage struct {
	Builds []rows.TemplateBuild
	// NextToken is empty on the last page.
	NextToken string
}

// Builds returns a page of a template's builds, newest first.
func (t *Service) Builds(ctx context.Context, templateID string, pageSize int, pageToken string) (BuildPage, error) {
	after, err := cursor.Parse(pageToken, false)
	if err != nil {
		return BuildPage{}, err
	}
	builds, err := t.Queries.ListBuilds(ctx, rows.ListBuildsParams{
		TemplateID: templateID, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(pageSize) + 1,
	})
	if err != nil {
		return BuildPage{}, fmt.Errorf("list builds of template %s: %w", templateID, err)
	}
	page := BuildPage{Builds: builds}
	if len(builds) > pageSize {
		page.Builds = builds[:pageSize]
		last := page.Builds[pageSize-1]
		page.NextToken = cursor.At(last.CreatedAt, last.ID.String()).String()
	}
	return page, nil
}

// Build returns a build of a template that a team may use.
func (t *Service) Build(ctx context.Context, teamID uuid.UUID, name, buildID string) (rows.TemplateBuild, error) {
	parsed, err := uuid.Parse(buildID)
	if err != nil {
		return rows.TemplateBuild{}, fault.New(fault.Invalid, "buildID is not a UUID")
	}
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return rows.TemplateBuild{}, err
	}
	build, err := t.Queries.GetBuild(ctx, rows.GetBuildParams{ID: parsed, TemplateID: template.ID})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.TemplateBuild{}, fault.New(fault.NotFound, "build %s was not found", parsed)
	}
	if err != nil {
		return rows.TemplateBuild{}, fmt.Errorf("get build %s: %w", buildID, err)
	}
	return build, nil
}

// CancelBuilds cancels a team's builds, and says how many were cancelled and how
// many could not be. There are none yet: a snapshot is no build that was asked for.
func (t *Service) CancelBuilds(ctx context.Context, teamID uuid.UUID) (cancelled, failed int, err error) {
	return 0, 0, usage.RequireTeam(ctx, t.pool, teamID)
}
