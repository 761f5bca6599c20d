package templates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// BuildStatus is how far a build is.
type BuildStatus string

// The statuses of builds.
const (
	StatusBuilding BuildStatus = "building"
	StatusWaiting  BuildStatus = "waiting"
	StatusReady    BuildStatus = "ready"
	StatusFailed   BuildStatus = "error"
)

// Build is one version of a template. Sandboxes are created from builds that are ready.
type Build struct {
	ID                   uuid.UUID
	TemplateID           string
	Status               BuildStatus
	Size                 Size
	EnvdVersion          string
	CreatedAt, UpdatedAt time.Time
	// FinishedAt is nil for a build that is not.
	FinishedAt *time.Time
}

// BuildPage is one page of a template's builds.
type BuildPage struct {
	Builds []Build
	// NextToken is empty on the last page.
	NextToken string
}

// Builds returns a page of a template's builds, newest first.
func (t *Service) Builds(ctx context.Context, templateID string, pageSize int, pageToken string) (BuildPage, error) {
	after, err := cursor.Parse(pageToken, false)
	if err != nil {
		return BuildPage{}, err
	}
	builds, err := newStore(t.pool).builds(ctx, templateID, after, pageSize+1)
	if err != nil {
		return BuildPage{}, err
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
func (t *Service) Build(ctx context.Context, teamID uuid.UUID, name, buildID string) (Build, error) {
	parsed, err := uuid.Parse(buildID)
	if err != nil {
		return Build{}, fault.New(fault.Invalid, "buildID is not a UUID")
	}
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return Build{}, err
	}
	build, err := newStore(t.pool).build(ctx, template.ID, parsed)
	if errors.Is(err, errNoRow) {
		return Build{}, fault.New(fault.NotFound, "build %s was not found", parsed)
	}
	if err != nil {
		return Build{}, fmt.Errorf("get build %s: %w", buildID, err)
	}
	return build, nil
}
