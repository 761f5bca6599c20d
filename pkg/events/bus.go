package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

const (
	// pollEvery is how long an event can take whose announcement got lost.
	pollEvery   = 5 * time.Second
	listenRetry = time.Second
	topic       = "wrenn_events"
)

// Bus follows the events of all teams and hands each, once, to the subscribers of
// this process. It never waits for a subscriber.
type Bus struct {
	url  string
	pool *pgxpool.Pool
	log  *slog.Logger
	// seen is the database's snapshot up to which events were handed out. Only Run
	// has it.
	seen string

	mutex         sync.Mutex
	stopped       bool
	subscriptions map[*Subscription]func() bool // with what ends waiting for the context
}

// NewBus makes a bus that begins with what happens from now on. url is for the
// connection that announcements come in by.
func NewBus(ctx context.Context, url string, pool *pgxpool.Pool, log *slog.Logger) (*Bus, error) {
	seen, err := rows.New(pool).CurrentSnapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the newest event: %w", err)
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

// Run hands out events until ctx ends. It rides out an absence of the database;
// what happens meanwhile is handed out afterwards.
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
			b.log.Warn("look for new events", "error", err)
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
				b.log.Warn("subscriber is too slow for the events", "event", event.ID)
				b.end(s, ErrTooSlow)
			}
		}
	}
	return nil
}

// fetch reads what has become visible since b.seen, and the snapshot up to which
// it has read. Both come from one snapshot of the database.
func (b *Bus) fetch(ctx context.Context) (fresh []Event, seen string, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, b.pool, options, func(tx pgx.Tx) error {
		queries := rows.New(tx)
		if seen, err = queries.CurrentSnapshot(ctx); err != nil {
			return err
		}
		found, err := queries.EventsSince(ctx, b.seen)
		for _, row := range found {
			fresh = append(fresh, eventOf(row))
		}
		return err
	})
	return fresh, seen, err
}

// listen wakes Run when an event is announced, over a connection of its own.
func (b *Bus) listen(ctx context.Context, wake chan<- struct{}) {
	for ctx.Err() == nil {
		if err := b.listenOnce(ctx, wake); ctx.Err() == nil {
			b.log.Warn("announcements of events are interrupted", "error", err)
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
		return fmt.Errorf("connect for announcements: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+topic); err != nil {
		return fmt.Errorf("listen for announcements: %w", err)
	}
	for {
		select {
		case wake <- struct{}{}: // at first for what came before
		default:
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("wait for announcements: %w", err)
		}
	}
}
