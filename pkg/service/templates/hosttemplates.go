package templates

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// SyncHost stores the templates that a host has: each is known under its alias to every
// team, and can be started there.
func (t *Service) SyncHost(ctx context.Context, hostID uuid.UUID, listed []host.Template) error {
	return inTransaction(ctx, t.pool, func(tx *changes) error {
		builds := []uuid.UUID{}
		for _, template := range listed {
			buildID, err := uuid.Parse(template.BuildID)
			if err != nil {
				return fmt.Errorf("build %q of template %s: %w", template.BuildID, template.Name, err)
			}
			templateID, err := tx.publicTemplate(ctx, template.Name)
			if err != nil {
				return err
			}
			err = tx.putReadyBuild(ctx, hostID, Build{
				ID: buildID, TemplateID: templateID, EnvdVersion: template.EnvdVersion,
				Size: Size{VCPUCount: template.VCPUCount, MemoryMiB: template.MemoryMiB, DiskMiB: template.DiskMiB},
			})
			if err != nil {
				return err
			}
			builds = append(builds, buildID)
		}
		return tx.keepHostBuilds(ctx, hostID, builds)
	})
}
