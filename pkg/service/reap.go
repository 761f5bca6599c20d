package service

import (
	"context"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

const (
	reapEvery       = 500 * time.Millisecond
	reapParallelism = 4
	// reapRetry is how long a sandbox lives on whose pause has failed.
	reapRetry = 15 * time.Second
)

// Reap ends sandboxes whose time is over, until ctx ends: it kills them, or
// pauses those that asked for it. What it has begun it finishes.
func (s *Sandboxes) Reap(ctx context.Context) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	var work sync.WaitGroup
	defer work.Wait()
	busy := make(chan struct{}, reapParallelism)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Only this goroutine fills busy, so that what is free now stays free.
		for _, claimed := range s.claimExpired(ctx, reapParallelism-len(busy)) {
			busy <- struct{}{}
			work.Go(func() {
				defer func() { <-busy }()
				s.expire(ctx, claimed)
			})
		}
	}
}

func (s *Sandboxes) claimExpired(ctx context.Context, most int) []db.Sandbox {
	if most == 0 {
		return nil
	}
	claimed, err := s.Queries.ClaimExpired(ctx, db.ClaimExpiredParams{Claimant: s.Claimant.ID(), Batch: int32(most)})
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("look for expired sandboxes", "error", err)
	}
	return claimed
}

func (s *Sandboxes) expire(ctx context.Context, claimed db.Sandbox) {
	ctx, cancel := detach(ctx)
	defer cancel()
	if claimed.State == lifecycle.Killing {
		s.finishKill(ctx, claimed, "its time was over")
		return
	}
	if err := s.finishPause(ctx, claimed, !claimed.AutoPauseMemory); err != nil {
		s.Log.Error("pause an expired sandbox", "sandbox", claimed.ID, "error", err)
		if err := s.Queries.PostponeEnd(ctx, db.PostponeEndParams{ID: claimed.ID, Delay: reapRetry}); err != nil {
			s.Log.Warn("postpone the end of a sandbox", "sandbox", claimed.ID, "error", err)
		}
	}
}
