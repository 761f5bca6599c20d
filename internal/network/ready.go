package network

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	// fewestReady and mostReady bound how many free slots are kept: making one takes tens
	// of milliseconds, which no create should wait for.
	fewestReady = 8
	mostReady   = 64
	// demandMemory is the age at which a slot that was taken counts for a third.
	demandMemory = 30 * time.Second
	// tidyEvery is how often demand is computed while no slot is taken.
	tidyEvery = 10 * time.Second
	// calm is how long after one was taken no other is made, unless free slots run out:
	// the CPU is left to the sandbox that took it.
	calm = 200 * time.Millisecond

	// After a failure the next attempt waits, longer each time.
	shortestRest = 10 * time.Millisecond
	longestRest  = 5 * time.Second
	// failurePatience is how long attempts must fail before callers that wait for a slot
	// get the error: listing links fails sometimes while others change.
	failurePatience = time.Second
)

// ready are the free slots.
type ready struct {
	slots  chan *Slot // has room for mostReady; one goroutine sends
	failed chan error // the error, while none can be made
	wake   chan struct{}

	mutex  sync.Mutex
	weight float64 // of the slots that were taken, at the time of the last
	at     time.Time
}

func newReady() *ready {
	return &ready{slots: make(chan *Slot, mostReady), failed: make(chan error), wake: make(chan struct{}, 1)}
}

// take waits for a slot, or for the reason why there is none.
func (r *ready) take(ctx context.Context) (*Slot, error) {
	r.count(time.Now())
	defer func() {
		select {
		case r.wake <- struct{}{}:
		default: // a wake-up is pending
		}
	}()
	select {
	case slot := <-r.slots:
		return slot, nil
	default:
	}
	select {
	case slot := <-r.slots:
		return slot, nil
	case err := <-r.failed:
		if errors.Is(err, ErrNoSlots) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrNoSlots, err)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a network slot: %w", ctx.Err())
	}
}

func (r *ready) count(now time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.weight, r.at = r.recent(now)+1, now
}

func (r *ready) recent(now time.Time) float64 {
	return r.weight * math.Exp(-now.Sub(r.at).Seconds()/demandMemory.Seconds())
}

// wanted is how many slots should be free: as many as were taken lately.
func (r *ready) wanted(now time.Time) int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return min(max(int(r.recent(now)), fewestReady), mostReady)
}

// suffices returns whether a number of slots is enough for now, and when to ask again.
func (r *ready) suffices(count int, now time.Time) (enough bool, again time.Duration) {
	const part = 2 // of what is wanted is enough while a slot has just been taken
	wanted := r.wanted(now)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	left := calm - now.Sub(r.at)
	switch {
	case count >= wanted:
		return true, tidyEvery
	case left > 0 && count >= wanted/part:
		return true, left
	default:
		return false, 0
	}
}

// surplus takes a slot that is more than is wanted; nil if there is none. Some more than
// needed are kept, because demand varies.
func (r *ready) surplus(now time.Time) *Slot {
	if len(r.slots) <= 2*r.wanted(now) {
		return nil
	}
	return r.any()
}

// any takes a free slot; nil if there is none.
func (r *ready) any() *Slot {
	select {
	case slot := <-r.slots:
		return slot
	default:
		return nil
	}
}

// refill keeps as many slots ready as are wanted until ctx ends, then destroys them.
func (p *Pool) refill(ctx context.Context) {
	var failing time.Time // since when
	rest := shortestRest
	for ctx.Err() == nil {
		if slot := p.ready.surplus(time.Now()); slot != nil {
			p.discard(slot)
			continue
		}
		if enough, again := p.ready.suffices(len(p.ready.slots), time.Now()); enough {
			p.ready.idle(ctx, again)
			continue
		}
		slot, err := p.make()
		if err == nil {
			p.ready.slots <- slot
			failing, rest = time.Time{}, shortestRest
			continue
		}
		if failing.IsZero() {
			failing = time.Now()
		}
		p.config.Log.ErrorContext(ctx, "make network slot", "error", err, "retryIn", rest)
		p.ready.fail(ctx, err, time.Since(failing) >= failurePatience, rest)
		rest = min(2*rest, longestRest)
	}
	for slot := p.ready.any(); slot != nil; slot = p.ready.any() {
		p.discard(slot)
	}
}

// idle returns when a slot was taken, or after a time.
func (r *ready) idle(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-r.wake:
	}
}

// fail waits before the next attempt, and meanwhile sends the error to callers that wait
// for a slot.
func (r *ready) fail(ctx context.Context, err error, tell bool, rest time.Duration) {
	failed := r.failed
	if !tell {
		failed = nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	for {
		select {
		case failed <- err:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
