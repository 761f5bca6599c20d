package volumes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// namedUsers is how many sandboxes a message names that keep a volume from being
// deleted.
const namedUsers = 5

// Delete deletes a volume and all that is in it. It returns Conflict as long as a
// sandbox mounts it, paused or not. Where the host is away the volume becomes unusable,
// and is deleted when the host is back, or by the next Delete.
func (v *Service) Delete(ctx context.Context, teamID uuid.UUID, volumeID string) error {
	if !id.IsVolume(volumeID) {
		return notFound(volumeID)
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	volume, err := v.giveUp(ctx, teamID, volumeID)
	if err != nil {
		return err
	}
	if err := v.remove(ctx, volume); err != nil {
		return err
	}
	v.log.InfoContext(ctx, "volume deleted", "volume", volume.ID, "host", volume.HostID)
	return nil
}

// giveUp makes a volume that no sandbox mounts unusable. One that is so already stays
// so, and tells nothing.
func (v *Service) giveUp(ctx context.Context, teamID uuid.UUID, volumeID string) (volume Volume, err error) {
	err = pgx.BeginFunc(ctx, v.pool, func(conn pgx.Tx) error {
		tx := newStore(conn)
		volume, err = tx.lock(ctx, teamID, volumeID)
		if errors.Is(err, errNoVolume) {
			return notFound(volumeID)
		}
		if err != nil {
			return fmt.Errorf("get volume %s: %w", volumeID, err)
		}
		// A statement of its own sees what was committed while the lock was waited for.
		users, err := tx.users(ctx, volumeID, namedUsers+1)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return fault.New(fault.Conflict, "volume %s is mounted by %s; kill them first", volumeID, naming(users))
		}
		if volume.unusable {
			return nil
		}
		if err := tx.setUnusable(ctx, volumeID); err != nil {
			return err
		}
		return tx.record(ctx, events.VolumeDeleted, volume)
	})
	return volume, err
}

func naming(sandboxes []string) string {
	if len(sandboxes) > namedUsers {
		return "sandboxes " + strings.Join(sandboxes[:namedUsers], ", ") + " and others"
	}
	return "the sandboxes " + strings.Join(sandboxes, ", ")
}

// remove deletes an unusable volume on its host, and then its row. Where that fails the
// control plane that follows the host tries again.
func (v *Service) remove(ctx context.Context, volume Volume) error {
	if err := v.onHost(volume, func(link *host.Link) error { return link.DeleteVolume(ctx, volume.ID) }); err != nil {
		return err
	}
	return newStore(v.pool).delete(ctx, volume.ID)
}
