package builds

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// placedBuild is a build on a host.
type placedBuild struct{ id, hostID uuid.UUID }

// placedOfTemplate returns every build of a template, on each host that may have it.
func (s *store) placedOfTemplate(ctx context.Context, templateID string) ([]placedBuild, error) {
	found, err := s.queries.ListHostsOfTemplate(ctx, templateID)
	if err != nil {
		return nil, fmt.Errorf("list builds of template %s: %w", templateID, err)
	}
	placed := make([]placedBuild, 0, len(found))
	for _, row := range found {
		placed = append(placed, placedBuild{row.ID, row.HostID})
	}
	return placed, nil
}

// addStray stores that a host may have a build that it must not have.
func (s *store) addStray(ctx context.Context, of placedBuild) error {
	if err := s.queries.AddStrayBuild(ctx, rows.AddStrayBuildParams{HostID: of.hostID, BuildID: of.id}); err != nil {
		return fmt.Errorf("store that host %s may have build %s: %w", of.hostID, of.id, err)
	}
	return nil
}

// strays returns builds to be removed from hosts that answer. Those in keep were ready on
// their hosts after all.
func (s *store) strays(ctx context.Context) (remove, keep []placedBuild, err error) {
	found, err := s.queries.ListStrayBuilds(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list stray builds: %w", err)
	}
	for _, row := range found {
		if of := (placedBuild{row.BuildID, row.HostID}); row.Stays {
			keep = append(keep, of)
		} else {
			remove = append(remove, of)
		}
	}
	return remove, keep, nil
}

func (s *store) deleteStray(ctx context.Context, of placedBuild) error {
	return s.queries.DeleteStrayBuild(ctx, rows.DeleteStrayBuildParams{HostID: of.hostID, BuildID: of.id})
}
