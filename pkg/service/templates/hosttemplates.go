package templates

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// SyncHost stores the templates that a host has: each that has an alias is known under it
// to every team, and can be started there. Those without are builds of teams.
func (t *Service) SyncHost(ctx context.Context, hostID uuid.UUID, listed []host.Template) error {
	return inTransaction(ctx, t.pool, func(tx *changes) error {
		builds := []uuid.UUID{}
		for _, template := range listed {
			buildID, err := uuid.Parse(template.BuildID)
			if err != nil {
				return fmt.Errorf("build %q of template %s: %w", template.BuildID, template.Name, err)
			}
			if template.Name == "" { // a team's
				if err := tx.addHostBuild(ctx, hostID, buildID, template.MadeBy); err != nil {
					return err
				}
				continue
			}
			templateID, err := tx.publicTemplate(ctx, template.Name)
			if err != nil {
				return err
			}
			err = tx.putReadyBuild(ctx, hostID, Build{
				ID: buildID, TemplateID: templateID, EnvdVersion: template.EnvdVersion,
				Size: Size{VCPUCount: template.VCPUCount, MemoryMiB: template.MemoryMiB, DiskMiB: template.DiskMiB},
			}, template.MadeBy)
			if err != nil {
				return err
			}
			builds = append(builds, buildID)
		}
		return tx.keepHostBuilds(ctx, hostID, builds)
	})
}
