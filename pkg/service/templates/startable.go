package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// FindStartable finds the build that a team's new sandboxes of a template begin as.
func (t *Service) FindStartable(ctx context.Context, teamID uuid.UUID, name string) (rows.FindStartableBuildRow, error) {
	wanted, err := ParseName("templateID", name)
	if err != nil {
		return rows.FindStartableBuildRow{}, err
	}
	build, err := t.Queries.FindStartableBuild(ctx, startable(teamID, wanted))
	if errors.Is(err, pgx.ErrNoRows) {
		return build, t.missing(ctx, name)
	}
	if err != nil {
		return build, fmt.Errorf("find template %s: %w", name, err)
	}
	return build, nil
}

func startable(teamID uuid.UUID, wanted Name) rows.FindStartableBuildParams {
	params := rows.FindStartableBuildParams{Name: wanted.name, TeamID: teamID, TeamSlug: wanted.team}
	if buildID, err := uuid.Parse(wanted.name); err == nil {
		params.BuildID = &buildID
	}
	if wanted.tag == newestTag {
		return params
	}
	params.Tag = wanted.tag
	if buildID, err := uuid.Parse(wanted.tag); err == nil {
		params.TaggedBuildID = &buildID
	}
	return params
}

// missing says that there is no such template, unless no host has yet
// been asked what it has.
func (t *Service) missing(ctx context.Context, name string) error {
	seen, err := t.Queries.HasSeenHost(ctx)
	if err != nil {
		return fmt.Errorf("look for hosts: %w", err)
	}
	if !seen {
		return fault.New(fault.Unavailable, "no host is ready yet")
	}
	return notFound(name)
}

// CountSpawn counts that a sandbox was created from a template.
func (t *Service) CountSpawn(ctx context.Context, templateID string) error {
	if err := t.Queries.CountTemplateSpawn(ctx, templateID); err != nil {
		return fmt.Errorf("count a use of template %s: %w", templateID, err)
	}
	return nil
}
