package volumes

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Retire deletes the rows of the volumes of a host that leaves the fleet, and returns
// their events, which its transaction writes last. Without force it returns Conflict
// where there are any.
func Retire(ctx context.Context, conn db.Conn, hostID uuid.UUID, hostName string, force bool) ([]events.Draft, error) {
	tx := newStore(conn)
	left, err := tx.countOnHost(ctx, hostID)
	if err != nil {
		return nil, err
	}
	if left > 0 && !force {
		return nil, fault.New(fault.Conflict, "host %s still has %d volumes, which would be lost", hostName, left)
	}
	gone, err := tx.deleteOnHost(ctx, hostID)
	if err != nil {
		return nil, err
	}
	var drafts []events.Draft
	for _, volume := range gone {
		if !volume.unusable {
			drafts = append(drafts, draft(events.VolumeDeleted, volume))
		}
	}
	return drafts, nil
}
