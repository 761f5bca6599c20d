package templates

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// publicTemplate returns the installation's template of an alias, and creates it where
// there is none. Of two that race for an alias one fails, and is tried again.
func (c *changes) publicTemplate(ctx context.Context, alias string) (string, error) {
	templateID, err := c.queries.FindPublicAlias(ctx, alias)
	if err == nil {
		return templateID, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("find template %s: %w", alias, err)
	}
	templateID = id.NewTemplate()
	if err := c.queries.CreateTemplate(ctx, rows.CreateTemplateParams{ID: templateID, Public: true}); err != nil {
		return "", fmt.Errorf("store template %s: %w", alias, err)
	}
	if err := c.queries.CreateTemplateAlias(ctx, rows.CreateTemplateAliasParams{Alias: alias, TemplateID: templateID}); err != nil {
		return "", fmt.Errorf("store alias %s: %w", alias, err)
	}
	c.tell(nil, events.TemplateCreated, templateID, templateData(true))
	return templateID, nil
}

// putReadyBuild stores a build of one of the installation's templates that a host has.
func (c *changes) putReadyBuild(ctx context.Context, hostID uuid.UUID, build Build, madeBy sandbox.Maker) error {
	created, err := c.queries.UpsertReadyBuild(ctx, rows.UpsertReadyBuildParams{
		ID: build.ID, TemplateID: build.TemplateID, VCPUCount: build.Size.VCPUCount,
		MemoryMiB: build.Size.MemoryMiB, DiskMiB: build.Size.DiskMiB, EnvdVersion: build.EnvdVersion,
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // no row: nothing has changed
		return fmt.Errorf("store build %s: %w", build.ID, err)
	}
	if created {
		c.tell(nil, events.TemplateBuilt, build.TemplateID, buildData(build.ID))
	}
	err = c.queries.AddHostBuild(ctx, rows.AddHostBuildParams{
		HostID: hostID, BuildID: build.ID, Driver: madeBy.Driver, Accelerator: madeBy.Accelerator,
	})
	if err != nil {
		return fmt.Errorf("store that host %s has build %s: %w", hostID, build.ID, err)
	}
	return nil
}

// addHostBuild stores that a host has a build that is ready; it leaves others out.
func (s *store) addHostBuild(ctx context.Context, hostID, buildID uuid.UUID, madeBy sandbox.Maker) error {
	err := s.queries.AddReadyHostBuild(ctx, rows.AddReadyHostBuildParams{
		HostID: hostID, BuildID: buildID, Driver: madeBy.Driver, Accelerator: madeBy.Accelerator,
	})
	if err != nil {
		return fmt.Errorf("store that host %s has build %s: %w", hostID, buildID, err)
	}
	return nil
}

// keepHostBuilds deletes all but some of the builds of the installation's templates that a
// host had. Those of teams stay: a host need not list them.
func (s *store) keepHostBuilds(ctx context.Context, hostID uuid.UUID, builds []uuid.UUID) error {
	return s.queries.RemoveOtherHostBuilds(ctx, rows.RemoveOtherHostBuildsParams{HostID: hostID, BuildIds: builds})
}
