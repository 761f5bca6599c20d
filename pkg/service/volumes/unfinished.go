package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// deletedAtOnce is how many unfinished volumes one call deletes.
const deletedAtOnce = 100

// Host is a host that has volumes.
type Host interface {
	DeleteVolume(ctx context.Context, volumeID string) error
}

// DeleteUnfinished deletes the volumes of a host whose creation or deletion was
// interrupted, because a control plane died or the host went away.
func DeleteUnfinished(ctx context.Context, conn db.Conn, hostID uuid.UUID, agent Host, log *slog.Logger) error {
	store := newStore(conn)
	unfinished, err := store.unfinished(ctx, hostID, 2*operation.Timeout, deletedAtOnce)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range unfinished {
		err := agent.DeleteVolume(ctx, id)
		if err == nil {
			err = store.delete(ctx, id)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("delete unfinished volume %s: %w", id, err))
			continue
		}
		log.InfoContext(ctx, "unfinished volume deleted", "volume", id, "host", hostID)
	}
	return errors.Join(failures...)
}
