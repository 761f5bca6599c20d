package sandboxes

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// Drain pauses what runs on a host that is drained, a few at a time. A sandbox whose
// pause fails runs on: the next heartbeat of the host tries again.
func (s *Service) Drain(ctx context.Context, hostID uuid.UUID) error {
	claimed, err := s.Queries.ClaimForDrain(ctx, rows.ClaimForDrainParams{
		HostID: hostID, Claimant: s.Claimant.ID(), Batch: pauseParallelism,
	})
	if err != nil {
		return fmt.Errorf("claim sandboxes of a host that is drained: %w", err)
	}
	var pauses errgroup.Group
	for _, pausing := range claimed {
		pauses.Go(func() error {
			ctx, cancel := operation.Detach(ctx)
			defer cancel()
			return s.finishPause(ctx, pausing, PauseRequest{})
		})
	}
	if err := pauses.Wait(); err != nil {
		s.Log.Warn("pause a sandbox of a host that is drained", "host", hostID, "error", err)
		return nil
	}
	if len(claimed) == 0 || ctx.Err() != nil {
		return nil
	}
	return s.Drain(ctx, hostID)
}
