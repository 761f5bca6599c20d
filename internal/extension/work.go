package extension

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// The delay before failed background work is started again.
const (
	firstWait   = time.Second
	longestWait = time.Minute
)

// Begin starts background workers and event subscribers. End ends them.
func (s *Set) Begin() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	for _, i := range s.instances {
		if !i.is(Running) {
			continue
		}
		for _, worker := range i.workers {
			i.running.Go(func() { i.work(ctx, worker) })
		}
		if subscriber, listens := i.extension.(cpextension.Subscriber); listens {
			first := s.server.Context.Events.Subscribe(ctx, i.filter)
			i.running.Go(func() { i.follow(ctx, s.server.Context.Events, subscriber, first) })
		}
	}
}

// End cancels background workers and event subscribers and waits for them, up to
// cpextension.StopTimeout.
func (s *Set) End(ctx context.Context) {
	s.stop()
	ctx, cancel := context.WithTimeout(ctx, cpextension.StopTimeout)
	defer cancel()
	for _, i := range s.instances {
		ended := make(chan struct{})
		go func() {
			i.running.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-ctx.Done():
			i.report(ctx, "end background work", ctx.Err())
		}
	}
}

// work runs a worker until ctx ends or the worker returns nil.
func (i *instance) work(ctx context.Context, worker cpextension.Worker) {
	wait := firstWait
	for {
		began := time.Now()
		err := protect(func() error { return worker.Run(ctx) })
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			i.log.InfoContext(ctx, "background worker returned", "worker", worker.Name)
			return
		}
		i.report(ctx, "work on "+worker.Name, err)
		if time.Since(began) > longestWait {
			wait = firstWait
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// follow delivers events to a subscriber until ctx or the bus ends.
func (i *instance) follow(ctx context.Context, bus *events.Bus, subscriber cpextension.Subscriber, subscription *events.Subscription) {
	for {
		for event := range subscription.Events() {
			if ctx.Err() != nil {
				return
			}
			err := protect(func() error { return subscriber.OnEvent(ctx, event) })
			if err != nil && ctx.Err() == nil {
				i.report(ctx, "handle event "+string(event.Type), err)
			}
		}
		if !errors.Is(subscription.Err(), events.ErrTooSlow) {
			return
		}
		i.report(ctx, "handle events", subscription.Err())
		subscription = bus.Subscribe(ctx, i.filter)
	}
}
