package channels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

const (
	dispatchBatch = 200
	// dispatchEvery is how long an event can wait that nobody was told of.
	dispatchEvery = 5 * time.Second
)

// Dispatcher makes deliveries of events. Any number of replicas share the work.
type Dispatcher struct {
	Pool  *pgxpool.Pool
	Bus   *events.Bus
	Queue Queue
	Log   *slog.Logger
}

// Run dispatches events until ctx ends. The bus only says when to look: what has
// happened while no control plane ran is found as well.
func (d *Dispatcher) Run(ctx context.Context) {
	tick := time.NewTicker(dispatchEvery)
	defer tick.Stop()
	news := d.Bus.Subscribe(ctx, events.Filter{})
	for {
		if err := d.dispatchAll(ctx); err != nil && ctx.Err() == nil {
			d.Log.Warn("dispatch events", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case _, open := <-news.Events():
			if !open && errors.Is(news.Err(), events.ErrTooSlow) {
				news = d.Bus.Subscribe(ctx, events.Filter{})
			} else if !open {
				return
			}
			for len(news.Events()) > 0 { // one look finds what they tell of
				<-news.Events()
			}
		}
	}
}

func (d *Dispatcher) dispatchAll(ctx context.Context) error {
	for {
		taken, err := d.dispatch(ctx)
		if err != nil || taken < dispatchBatch {
			return err
		}
	}
}

// dispatch takes some events from the outbox and enqueues their deliveries, all
// or nothing.
func (d *Dispatcher) dispatch(ctx context.Context) (taken int, err error) {
	err = pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		queries := rows.New(tx)
		waiting, err := queries.TakeEventsToDispatch(ctx, dispatchBatch)
		if err != nil || len(waiting) == 0 {
			return err
		}
		taken = len(waiting)
		ids := make([]int64, 0, taken)
		for _, event := range waiting {
			ids = append(ids, event.ID)
		}
		deliveries, err := queries.FanOut(ctx, ids)
		if err != nil {
			return fmt.Errorf("make deliveries: %w", err)
		}
		jobs := make([]river.InsertManyParams, 0, len(deliveries))
		for _, delivery := range deliveries {
			jobs = append(jobs, river.InsertManyParams{Args: DeliveryJob{DeliveryID: delivery}})
		}
		if len(jobs) > 0 {
			if _, err := d.Queue.InsertManyTx(ctx, tx, jobs); err != nil {
				return fmt.Errorf("enqueue deliveries: %w", err)
			}
		}
		return queries.MarkDispatched(ctx, ids)
	})
	return taken, err
}
