package service

import (
	"context"
	"errors"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// endedAtOnce is how many volumes are ended in one look at a host.
const endedAtOnce = 100

// endVolumes deletes the volumes of a host that a control plane was at making, or
// at deleting, when it died or the host went away.
func (h *HostSync) endVolumes(ctx context.Context) error {
	queries := rows.New(h.Pool)
	unfinished, err := queries.ListUnfinishedVolumes(ctx, rows.ListUnfinishedVolumesParams{
		HostID: h.HostID, OlderThan: 2 * operationTimeout, Most: endedAtOnce,
	})
	if err != nil {
		return fmt.Errorf("list unfinished volumes: %w", err)
	}
	var failures []error
	for _, id := range unfinished {
		err := h.Host.DeleteVolume(ctx, id)
		if err == nil {
			err = queries.DeleteVolume(ctx, id)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("end volume %s: %w", id, err))
			continue
		}
		h.Log.Info("ended a volume that was half made or half deleted", "volume", id, "host", h.HostID)
	}
	return errors.Join(failures...)
}
