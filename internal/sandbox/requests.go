package sandbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// request names one call of a client, which may come again when its answer was
// lost: then it has the same ID. An empty ID is a request that never does.
type request struct {
	what, sandboxID, id string
}

// requests are those under way and those lately done.
type requests struct {
	mutex sync.Mutex
	calls map[request]*call
	swept time.Time
}

// call is what became of a request.
type call struct {
	done   chan struct{} // closed when result and err are set
	result any
	err    error
	ended  time.Time // zero while it is under way
}

// requestMemory is how long a request that was done is known: longer than any
// client goes on asking.
const requestMemory = 5 * time.Minute

// once does what a request asks for once: one that comes again is answered with
// what the first came to, also while that is under way. What failed was undone,
// and is tried anew.
func once[T any](ctx context.Context, all *requests, asked request, work func() (T, error)) (T, error) {
	return answer(ctx, all, asked, true, work)
}

// joined is once for what leaves a trace to be found by: it is not remembered.
func joined[T any](ctx context.Context, all *requests, asked request, work func() (T, error)) (T, error) {
	return answer(ctx, all, asked, false, work)
}

func answer[T any](ctx context.Context, all *requests, asked request, remember bool, work func() (T, error)) (T, error) {
	var none T
	if asked.id == "" {
		return work()
	}
	for {
		mine, first := all.enter(asked)
		if first {
			result, err := work()
			all.end(asked, mine, remember, result, err)
			return result, err
		}
		select {
		case <-mine.done:
		case <-ctx.Done():
			return none, fmt.Errorf("wait for the same request to %s sandbox %s: %w", asked.what, asked.sandboxID, ctx.Err())
		}
		if errors.Is(mine.err, context.Canceled) {
			continue // who asked first has gone, and whatever it asked for with it
		}
		result, _ := mine.result.(T) // a request has one kind of answer
		return result, mine.err
	}
}

// enter finds the call of a request, or begins it.
func (r *requests) enter(asked request) (mine *call, first bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if known, ok := r.calls[asked]; ok {
		return known, false
	}
	if r.calls == nil {
		r.calls = make(map[request]*call)
	}
	r.sweep(time.Now())
	mine = &call{done: make(chan struct{})}
	r.calls[asked] = mine
	return mine, true
}

func (r *requests) end(asked request, mine *call, remember bool, result any, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	mine.result, mine.err, mine.ended = result, err, time.Now()
	if err != nil || !remember {
		delete(r.calls, asked)
	}
	close(mine.done)
}

// sweep forgets what was done long ago, now and then.
func (r *requests) sweep(now time.Time) {
	if now.Sub(r.swept) < requestMemory {
		return
	}
	r.swept = now
	for asked, known := range r.calls {
		if !known.ended.IsZero() && now.Sub(known.ended) > requestMemory {
			delete(r.calls, asked)
		}
	}
}
