package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// endedAtOnce is how many volumes are ended in one look at a host.
const endedAtOnce = 100

// VolumeHost is a host that has volumes.
type Host interface {
	DeleteVolume(ctx context.Context, volumeID string) error
}

// DeleteUnfinished deletes the volumes of a host whose creation or deletion was
// interrupted, because a control plane died or the host went away.
func DeleteUnfinished(ctx context.Context, queries *rows.Queries, hostID uuid.UUID, agent Host, log *slog.Logger) error {
	unfinished, err := queries.ListUnfinishedVolumes(ctx, rows.ListUnfinishedVolumesParams{
		HostID: hostID, OlderThan: 2 * operation.Timeout, Most: endedAtOnce,
	})
	if err != nil {
		return fmt.Errorf("list unfinished volumes: %w", err)
	}
	var failures []error
	for _, id := range unfinished {
		err := agent.DeleteVolume(ctx, id)
		if err == nil {
			err = queries.DeleteVolume(ctx, id)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("end volume %s: %w", id, err))
			continue
		}
		log.Info("ended a volume that was half made or half deleted", "volume", id, "host", hostID)
	}
	return errors.Join(failures...)
}
