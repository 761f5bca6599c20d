package volumes

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// retireVolumes forgets the volumes of a host that is taken out of the fleet.
func Retire(ctx context.Context, queries *rows.Queries, row rows.Host, force bool) error {
	left, err := queries.CountVolumesOnHost(ctx, row.ID)
	if err != nil {
		return fmt.Errorf("count the volumes of host %s: %w", row.Name, err)
	}
	if left > 0 && !force {
		return fault.New(fault.Conflict, "host %s still has %d volumes, which would be lost", row.Name, left)
	}
	if err := queries.DeleteVolumesOnHost(ctx, row.ID); err != nil {
		return fmt.Errorf("forget the volumes of host %s: %w", row.Name, err)
	}
	return nil
}
