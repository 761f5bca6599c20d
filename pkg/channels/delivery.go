package channels

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// DeliveryState is the state of a delivery.
type DeliveryState string

// The states of deliveries.
const (
	Pending   DeliveryState = "pending" // to be tried, or retried
	Delivered DeliveryState = "delivered"
	Dead      DeliveryState = "dead" // given up
)

// Delivery is an event to be sent to a channel.
type Delivery struct {
	ID        uuid.UUID
	Event     events.Event
	State     DeliveryState
	CreatedAt time.Time
	// NextAttemptAt is nil unless the state is Pending.
	NextAttemptAt *time.Time
	// FinishedAt is nil while the state is Pending.
	FinishedAt *time.Time
	Attempts   []Attempt
}

// Attempt is an attempt to send a delivery.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	// StatusCode is 0 where there was no answer.
	StatusCode int
	// Failure is empty for success.
	Failure Failure
}

// DeliveryPage selects a page of deliveries.
type DeliveryPage struct {
	// State selects by state; "" selects all.
	State DeliveryState
	// Before is the last delivery of the page before; nil for the first page.
	Before *Delivery
	Limit  int
	// HiddenKinds are kinds of events that are left out.
	HiddenKinds []string
}

// Deliveries returns a page of a channel's deliveries with their attempts, newest first.
func (s *Service) Deliveries(ctx context.Context, teamID, channelID uuid.UUID, page DeliveryPage) ([]Delivery, error) {
	if _, err := s.Get(ctx, teamID, channelID); err != nil {
		return nil, err
	}
	var deliveries []Delivery
	// One snapshot for deliveries and attempts, so that they fit together.
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) (err error) {
		deliveries, err = newStore(tx).deliveries(ctx, channelID, page)
		return err
	})
	return deliveries, err
}

// Test sends an event of type channel.tested, also to a channel that is not enabled.
func (s *Service) Test(ctx context.Context, teamID, channelID uuid.UUID) (Delivery, error) {
	if _, err := s.Get(ctx, teamID, channelID); err != nil {
		return Delivery{}, err
	}
	body, err := encodeEvent(events.Event{
		Type: events.ChannelTested, TeamID: teamID, ResourceID: channelID.String(), At: time.Now().UTC(), Data: []byte("{}"),
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("encode event: %w", err)
	}
	return s.enqueue(ctx, func(tx store) (queued, error) { return tx.createDelivery(ctx, channelID, body) })
}

// Redeliver sends a delivery again that was delivered or given up. A pending one is a
// fault.Conflict, and one of a hidden kind a fault.NotFound.
func (s *Service) Redeliver(ctx context.Context, teamID, channelID, deliveryID uuid.UUID, hiddenKinds []string) (Delivery, error) {
	if _, err := s.Get(ctx, teamID, channelID); err != nil {
		return Delivery{}, err
	}
	return s.enqueue(ctx, func(tx store) (queued, error) {
		again, err := tx.redeliver(ctx, channelID, deliveryID, hiddenKinds)
		if !errors.Is(err, db.ErrNoRow) {
			return again, err
		}
		if found, channel, err := tx.delivery(ctx, deliveryID); err == nil && channel.ID == channelID && found.State == Pending {
			return again, fault.New(fault.Conflict, "the delivery is on its way already")
		}
		return again, fault.New(fault.NotFound, "there is no such delivery")
	})
}

// enqueue stores a delivery and its job in one transaction.
func (s *Service) enqueue(ctx context.Context, save func(tx store) (queued, error)) (Delivery, error) {
	var deliveries []Delivery
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		saved, err := save(newStore(tx))
		if err != nil {
			return err
		}
		if _, err := s.queue.InsertTx(ctx, tx, DeliveryJob{DeliveryID: saved.ID, Before: saved.attemptCount}, nil); err != nil {
			return err
		}
		deliveries = []Delivery{saved.Delivery}
		return newStore(tx).addAttempts(ctx, deliveries)
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("enqueue delivery: %w", err)
	}
	return deliveries[0], nil
}

// deleteBatch is how many rows one statement deletes.
const deleteBatch = 1000

// ExpireDeliveries deletes deliveries from before a time that are not pending, and
// returns how many it deleted.
func ExpireDeliveries(ctx context.Context, conn db.Conn, before time.Time) (int64, error) {
	var total int64
	for {
		deleted, err := newStore(conn).deleteOldDeliveries(ctx, before, deleteBatch)
		if err != nil {
			return total, err
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}
