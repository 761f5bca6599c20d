package sandboxes

import (
	"context"
	"math"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// pauseParallelism bounds how many sandboxes of a host are paused at once when all are: a
// pause is limited by the disk.
const pauseParallelism = 2

// PauseAll pauses everything that runs on a host.
func (s *Service) PauseAll(ctx context.Context, hostID uuid.UUID) error {
	claimed, err := s.store.ClaimRunning(ctx, hostID, s.claimant.ID(), math.MaxInt32)
	if err != nil {
		return err
	}
	return s.pauseClaimed(ctx, claimed)
}

// Drain pauses what runs on a host that is drained, a few at a time. A sandbox whose
// pause fails runs on: the next heartbeat of the host tries again.
func (s *Service) Drain(ctx context.Context, hostID uuid.UUID) error {
	for ctx.Err() == nil {
		claimed, err := s.store.ClaimRunning(ctx, hostID, s.claimant.ID(), pauseParallelism)
		if err != nil || len(claimed) == 0 {
			return err
		}
		if err := s.pauseClaimed(context.WithoutCancel(ctx), claimed); err != nil {
			s.log.WarnContext(ctx, "pause a sandbox of a host that is drained", "host", hostID, "error", err)
			return nil
		}
	}
	return nil
}

func (s *Service) pauseClaimed(ctx context.Context, claimed []sandbox.Sandbox) error {
	var pauses errgroup.Group
	pauses.SetLimit(pauseParallelism)
	for _, pausing := range claimed {
		pauses.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
			defer cancel()
			return s.finishPause(ctx, pausing, sandbox.Pause{})
		})
	}
	return pauses.Wait()
}
