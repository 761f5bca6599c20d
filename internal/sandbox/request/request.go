// Package request makes a call that is sent again take effect once. A client whose
// answer was lost sends the same request ID again.
package request

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Key identifies one call of a client. An empty RequestID is never sent again.
type Key struct {
	// Call is a verb, for error messages: "pause".
	Call      string
	SandboxID string
	RequestID string
}

// Set holds the calls that are under way and those that succeeded lately. The zero
// value is empty.
type Set struct {
	mutex sync.Mutex
	calls map[Key]*call
	swept time.Time
}

// call is one call and its result.
type call struct {
	done   chan struct{} // closed when result and err are set
	result any
	err    error
	ended  time.Time // zero while the call is under way
}

// retention is how long a result is kept: longer than any client retries.
const retention = 5 * time.Minute

// Once runs work once for a key. A call with the same key waits for the first one and
// gets its result, also within the retention time after it has ended. A failed call is
// not kept: its effects were undone, and the next call runs work again.
func Once[T any](ctx context.Context, set *Set, key Key, work func() (T, error)) (T, error) {
	return run(ctx, set, key, true, work)
}

// Join is Once that keeps no result after the call has ended. It is for work that finds
// by itself what an earlier call has made.
func Join[T any](ctx context.Context, set *Set, key Key, work func() (T, error)) (T, error) {
	return run(ctx, set, key, false, work)
}

func run[T any](ctx context.Context, set *Set, key Key, keep bool, work func() (T, error)) (T, error) {
	var none T
	if key.RequestID == "" {
		return work()
	}
	for {
		mine, first := set.enter(key)
		if first {
			result, err := work()
			set.end(key, mine, keep, result, err)
			return result, err
		}
		select {
		case <-mine.done:
		case <-ctx.Done():
			return none, fmt.Errorf("wait for the same request to %s sandbox %s: %w", key.Call, key.SandboxID, ctx.Err())
		}
		if errors.Is(mine.err, context.Canceled) {
			continue // the first caller has left, and its work was undone
		}
		result, _ := mine.result.(T) // a key has one type of result
		return result, mine.err
	}
}

// enter returns the call of a key; first is true if it was not under way or kept.
func (s *Set) enter(key Key) (mine *call, first bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known, ok := s.calls[key]; ok {
		return known, false
	}
	if s.calls == nil {
		s.calls = make(map[Key]*call)
	}
	s.sweep(time.Now())
	mine = &call{done: make(chan struct{})}
	s.calls[key] = mine
	return mine, true
}

func (s *Set) end(key Key, mine *call, keep bool, result any, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	mine.result, mine.err, mine.ended = result, err, time.Now()
	if err != nil || !keep {
		delete(s.calls, key)
	}
	close(mine.done)
}

// sweep deletes results older than the retention time, at most once in that time. It is
// called with the mutex held.
func (s *Set) sweep(now time.Time) {
	if now.Sub(s.swept) < retention {
		return
	}
	s.swept = now
	for key, known := range s.calls {
		if !known.ended.IsZero() && now.Sub(known.ended) > retention {
			delete(s.calls, key)
		}
	}
}
