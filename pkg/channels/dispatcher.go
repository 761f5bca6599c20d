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

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

const (
	dispatchBatch = 200
	// dispatchEvery bounds the delay of events that the bus did not announce.
	dispatchEvery = 5 * time.Second
)

// Dispatcher makes deliveries of events. Replicas share the work.
type Dispatcher struct {
	pool  *pgxpool.Pool
	bus   *events.Bus
	queue Queue
	log   *slog.Logger
}

// NewDispatcher makes a Dispatcher.
func NewDispatcher(pool *pgxpool.Pool, bus *events.Bus, queue Queue, log *slog.Logger) *Dispatcher {
	return &Dispatcher{pool: pool, bus: bus, queue: queue, log: log}
}

// Run dispatches events until ctx ends. The bus only says when to look, so events from
// before the start are dispatched as well.
func (d *Dispatcher) Run(ctx context.Context) {
	tick := time.NewTicker(dispatchEvery)
	defer tick.Stop()
	news := d.bus.Subscribe(ctx, events.Filter{})
	for {
		if err := d.dispatchAll(ctx); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "dispatch events", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case _, open := <-news.Events():
			if !open && errors.Is(news.Err(), events.ErrTooSlow) {
				news = d.bus.Subscribe(ctx, events.Filter{})
			} else if !open {
				return
			}
			for len(news.Events()) > 0 { // one look finds them all
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

// dispatch enqueues the deliveries of some events in one transaction.
func (d *Dispatcher) dispatch(ctx context.Context) (taken int, err error) {
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		ids, err := newStore(tx).takeEvents(ctx, dispatchBatch)
		if taken = len(ids); err != nil || taken == 0 {
			return err
		}
		deliveries, err := newStore(tx).fanOut(ctx, ids)
		if err != nil {
			return err
		}
		jobs := make([]river.InsertManyParams, 0, len(deliveries))
		for _, delivery := range deliveries {
			jobs = append(jobs, river.InsertManyParams{Args: DeliveryJob{DeliveryID: delivery}})
		}
		if len(jobs) > 0 {
			if _, err := d.queue.InsertManyTx(ctx, tx, jobs); err != nil {
				return fmt.Errorf("enqueue deliveries: %w", err)
			}
		}
		return newStore(tx).markDispatched(ctx, ids)
	})
	return taken, err
}
