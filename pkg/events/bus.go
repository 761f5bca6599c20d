package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// pollEvery bounds the delay of events whose notification was lost.
	pollEvery = 5 * time.Second
	// listenRetry is the delay before a broken connection is replaced.
	listenRetry = time.Second
	topic       = "wrenn_events"
)

// Bus hands each event of all teams, once, to the subscribers of this process. It
// never waits for a subscriber.
type Bus struct {
	url  string
	pool *pgxpool.Pool
	log  *slog.Logger
	// seen is the database's snapshot up to which events were handed out. Only Run
	// uses it.
	seen string

	mutex   sync.Mutex
	stopped bool
	// subscriptions have the function that stops watching the subscriber's context.
	subscriptions map[*Subscription]func() bool
}

// NewBus makes a bus for the events from now on. It listens for notifications on a
// connection of its own to url.
func NewBus(ctx context.Context, url string, pool *pgxpool.Pool, log *slog.Logger) (*Bus, error) {
	seen, err := newStore(pool).snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &Bus{url: url, pool: pool, log: log, seen: seen, subscriptions: make(map[*Subscription]func() bool)}, nil
}

// Subscribe hands out events from now on until ctx ends, the bus stops, or the
// subscriber falls too far behind; Subscription.Err tells which.
func (b *Bus) Subscribe(ctx context.Context, filter Filter) *Subscription {
	s := &Subscription{filter: filter, events: make(chan Event, bufferSize)}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.stopped {
		s.err = ErrStopped
		close(s.events)
		return s
	}
	b.subscriptions[s] = context.AfterFunc(ctx, func() {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		b.end(s, ctx.Err())
	})
	return s
}

// end is called with the mutex held.
func (b *Bus) end(s *Subscription, err error) {
	release, subscribed := b.subscriptions[s]
	if !subscribed {
		return
	}
	release()
	delete(b.subscriptions, s)
	s.err = err
	close(s.events)
}

// Run hands out events until ctx ends. While the database cannot be reached it tries
// again, and hands out what it missed afterwards.
func (b *Bus) Run(ctx context.Context) {
	wake := make(chan struct{}, 1)
	var listening sync.WaitGroup
	listening.Go(func() { b.listen(ctx, wake) })
	defer listening.Wait()
	defer b.stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-poll.C:
		}
		if err := b.handOut(ctx); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "read new events", "error", err)
		}
	}
}

func (b *Bus) stop() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.stopped = true
	for s := range b.subscriptions {
		b.end(s, ErrStopped)
	}
}

func (b *Bus) handOut(ctx context.Context) error {
	fresh, seen, err := b.fetch(ctx)
	if err != nil {
		return err
	}
	b.seen = seen
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, event := range fresh {
		for s := range b.subscriptions {
			if !s.offer(event) {
				b.log.WarnContext(ctx, "subscriber is too slow for the events", "event", event.ID)
				b.end(s, ErrTooSlow)
			}
		}
	}
	return nil
}

// fetch reads the events that became visible since b.seen, and the snapshot for the
// next call. One transaction reads both.
func (b *Bus) fetch(ctx context.Context) (fresh []Event, seen string, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, b.pool, options, func(tx pgx.Tx) error {
		if seen, err = newStore(tx).snapshot(ctx); err != nil {
			return err
		}
		fresh, err = newStore(tx).since(ctx, b.seen)
		return err
	})
	return fresh, seen, err
}

// listen wakes Run at each notification.
func (b *Bus) listen(ctx context.Context, wake chan<- struct{}) {
	for ctx.Err() == nil {
		if err := b.listenOnce(ctx, wake); ctx.Err() == nil {
			b.log.WarnContext(ctx, "notifications of events are interrupted", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenRetry):
		}
	}
}

func (b *Bus) listenOnce(ctx context.Context, wake chan<- struct{}) error {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return fmt.Errorf("connect for notifications: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+topic); err != nil {
		return fmt.Errorf("listen for notifications: %w", err)
	}
	for {
		select {
		case wake <- struct{}{}: // the first time for events from before LISTEN
		default:
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("wait for notifications: %w", err)
		}
	}
}
