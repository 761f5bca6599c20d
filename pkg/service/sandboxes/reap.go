package sandboxes

import (
	"context"
	"errors"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

const (
	reapEvery       = 500 * time.Millisecond
	reapParallelism = 4
	// reapPatience is the time after which an end no longer counts among reapParallelism,
	// so that a host that hangs does not delay other ends. Up to reapSlow of them go on.
	reapPatience = 2 * time.Second
	reapSlow     = 256
	// reapRetry is the time until the next try where the pause of a sandbox has failed.
	reapRetry = 15 * time.Second
)

// Reap kills sandboxes whose time is over, or pauses those with AutoPause, until ctx ends.
// Ends under way are finished then.
func (s *Service) Reap(ctx context.Context) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	var work sync.WaitGroup
	defer work.Wait()
	places := newReapPlaces()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Only this goroutine takes places: those that are free now stay free.
		for _, claimed := range s.claimExpired(ctx, places.free()) {
			leave := places.take()
			work.Go(func() {
				defer leave()
				s.expire(ctx, claimed)
			})
		}
	}
}

func (s *Service) claimExpired(ctx context.Context, most int) []sandbox.Sandbox {
	if most == 0 {
		return nil
	}
	claimed, err := s.store.ClaimExpired(ctx, s.claimant.ID(), most)
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "look for expired sandboxes", "error", err)
	}
	return claimed
}

func (s *Service) expire(ctx context.Context, claimed sandbox.Sandbox) {
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	if claimed.State == sandbox.Killing {
		s.finishKill(ctx, claimed)
		return
	}
	if err := s.finishPause(ctx, claimed, sandbox.Pause{WithoutMemory: claimed.Lifecycle.AutoPauseWithoutMemory}); err != nil {
		s.logger(claimed).ErrorContext(ctx, "pause an expired sandbox", "error", err)
		_, err := s.store.SetEnd(ctx, claimed, reapRetry)
		if err != nil && !errors.Is(err, operation.ErrOvertaken) { // overtaken: it does not run
			s.logger(claimed).WarnContext(ctx, "postpone the end of a sandbox", "error", err)
		}
	}
}

// reapPlaces bounds how many ends are under way.
type reapPlaces struct {
	busy chan struct{}
	slow chan struct{}
}

func newReapPlaces() *reapPlaces {
	return &reapPlaces{busy: make(chan struct{}, reapParallelism), slow: make(chan struct{}, reapSlow)}
}

func (p *reapPlaces) free() int { return reapParallelism - len(p.busy) }

// take takes a place; leave returns it. After reapPatience the place is exchanged for a
// slow one, if one is free.
func (p *reapPlaces) take() (leave func()) {
	p.busy <- struct{}{}
	var mutex sync.Mutex
	held := p.busy
	patience := time.AfterFunc(reapPatience, func() {
		mutex.Lock()
		defer mutex.Unlock()
		if held == nil {
			return // the end is over
		}
		select {
		case p.slow <- struct{}{}:
			<-p.busy
			held = p.slow
		default:
		}
	})
	return func() {
		patience.Stop()
		mutex.Lock()
		defer mutex.Unlock()
		<-held
		held = nil
	}
}
