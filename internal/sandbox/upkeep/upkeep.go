// Package upkeep works on sandboxes in the background: it retries what failed, and stops
// guests that write while the host's disks are nearly full.
package upkeep

import (
	"context"
	"iter"
	"time"
)

// Sandbox is one that the loop works on.
type Sandbox interface {
	// Retry makes one attempt at what has failed before, if that is due. It does nothing
	// while an operation is under way.
	Retry(ctx context.Context)
	Writer
}

// Loop is the goroutine that retries and guards the disks.
type Loop struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// Start starts a Loop over all sandboxes; Close ends it.
func Start(sandboxes func() iter.Seq[Sandbox], guard DiskGuard) *Loop {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Loop{cancel: cancel, ended: make(chan struct{})}
	go l.run(ctx, sandboxes, guard)
	return l
}

// Close ends the loop and waits for the attempt under way.
func (l *Loop) Close() {
	l.cancel()
	<-l.ended
}

func (l *Loop) run(ctx context.Context, sandboxes func() iter.Seq[Sandbox], guard DiskGuard) {
	defer close(l.ended)
	retry, look := time.NewTicker(retryEvery), time.NewTicker(guardEvery)
	defer retry.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			guard.check(ctx, sandboxes())
		case <-retry.C:
			for s := range sandboxes() {
				if ctx.Err() != nil {
					return
				}
				s.Retry(ctx)
			}
		}
	}
}
