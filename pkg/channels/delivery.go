package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a delivery.
const (
	Pending   DeliveryState = "pending" // to be tried, or tried again
	Delivered DeliveryState = "delivered"
	Dead      DeliveryState = "dead" // given up
)

// Delivery is one event on its way to one channel.
type Delivery struct {
	ID            uuid.UUID     `json:"id"`
	Event         events.Event  `json:"event"`
	State         DeliveryState `json:"state"`
	CreatedAt     time.Time     `json:"createdAt"`
	NextAttemptAt *time.Time    `json:"nextAttemptAt"`
	FinishedAt    *time.Time    `json:"finishedAt"`
	Attempts      []Attempt     `json:"attempts"`
}

// Attempt is one try of a delivery.
type Attempt struct {
	At         time.Time `json:"at"`
	DurationMS int       `json:"durationMs"`
	// StatusCode is 0 where no answer came.
	StatusCode int `json:"statusCode"`
	// Error is one of a closed set: it has nothing of what a receiver, a name server
	// or the network said. Empty is success.
	Error string `json:"error"`
}

// DeliveryPage selects a page of deliveries. The zero value is the first page of
// all.
type DeliveryPage struct {
	// State selects by state, "" all.
	State DeliveryState
	// Before is the last delivery of the page before.
	Before *Delivery
	Limit  int
	// HiddenKinds are kinds of events that are left out.
	HiddenKinds []string
}

// latest is behind everything.
var latest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Deliveries returns a page of a channel's deliveries, the newest first, each
// with its attempts.
func (s *Service) Deliveries(ctx context.Context, teamID, channelID uuid.UUID, page DeliveryPage) ([]Delivery, error) {
	if _, err := s.Get(ctx, teamID, channelID); err != nil {
		return nil, err
	}
	query := rows.ListDeliveriesParams{
		ChannelID: channelID, State: string(page.State), BeforeTime: latest, BeforeID: uuid.Max,
		PageSize: int32(min(page.Limit, math.MaxInt32)), HiddenKinds: orNone(page.HiddenKinds),
	}
	if page.Before != nil {
		query.BeforeTime, query.BeforeID = page.Before.CreatedAt, page.Before.ID
	}
	// One moment for both: an attempt that is noted between them would stand
	// beside a delivery that knows nothing of it.
	var deliveries []Delivery
	moment := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.Pool, moment, func(tx pgx.Tx) error {
		queries := s.Queries.WithTx(tx)
		found, err := queries.ListDeliveries(ctx, query)
		if err != nil {
			return fmt.Errorf("list deliveries: %w", err)
		}
		deliveries, err = withAttempts(ctx, queries, found)
		return err
	})
	return deliveries, err
}

func withAttempts(ctx context.Context, queries *rows.Queries, found []rows.ChannelDelivery) ([]Delivery, error) {
	ids := make([]uuid.UUID, 0, len(found))
	for _, row := range found {
		ids = append(ids, row.ID)
	}
	tried, err := queries.ListAttempts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	attempts := make(map[uuid.UUID][]Attempt, len(found))
	for _, row := range tried {
		attempts[row.DeliveryID] = append(attempts[row.DeliveryID], Attempt{
			At: row.At.UTC(), DurationMS: int(row.DurationMs), StatusCode: int(row.StatusCode),
			Error: row.Error,
		})
	}
	listed := make([]Delivery, 0, len(found))
	for _, row := range found {
		delivery, err := deliveryOf(row)
		if err != nil {
			return nil, err
		}
		if of, tried := attempts[row.ID]; tried {
			delivery.Attempts = of
		}
		listed = append(listed, delivery)
	}
	return listed, nil
}

func deliveryOf(row rows.ChannelDelivery) (Delivery, error) {
	delivery := Delivery{
		ID: row.ID, State: DeliveryState(row.State), CreatedAt: row.CreatedAt.UTC(),
		NextAttemptAt: row.NextAttemptAt, FinishedAt: row.FinishedAt, Attempts: []Attempt{},
	}
	if err := json.Unmarshal(row.Event, &delivery.Event); err != nil {
		return delivery, fmt.Errorf("read event of delivery %s: %w", row.ID, err)
	}
	return delivery, nil
}

// Test sends an event that says only that it is a test, even through a channel
// that is not enabled.
func (s *Service) Test(ctx context.Context, teamID, channelID uuid.UUID) (Delivery, error) {
	if _, err := s.Get(ctx, teamID, channelID); err != nil {
		return Delivery{}, err
	}
	body, err := json.Marshal(events.Event{
		Type: events.ChannelTested, TeamID: teamID, ResourceID: channelID.String(),
		At: time.Now().UTC(), Data: json.RawMessage("{}"),
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("encode event: %w", err)
	}
	return s.enqueue(ctx, func(queries *rows.Queries) (rows.ChannelDelivery, error) {
		return queries.CreateDelivery(ctx, rows.CreateDeliveryParams{ID: uuid.New(), ChannelID: channelID, Event: body})
	})
}

// Redeliver sends once more what was delivered or given up. What is on its way
// already is a fault.Conflict, and what is of a hidden kind is not there.
func (s *Service) Redeliver(ctx context.Context, teamID, channelID, deliveryID uuid.UUID, hiddenKinds []string) (Delivery, error) {
	if _, err := s.Get(ctx, teamID, channelID); err != nil {
		return Delivery{}, err
	}
	return s.enqueue(ctx, func(queries *rows.Queries) (rows.ChannelDelivery, error) {
		row, err := queries.RedeliverDelivery(ctx, rows.RedeliverDeliveryParams{ID: deliveryID, ChannelID: channelID, HiddenKinds: orNone(hiddenKinds)})
		if !errors.Is(err, pgx.ErrNoRows) {
			return row, err
		}
		if there, err := queries.GetDelivery(ctx, deliveryID); err == nil && there.Channel.ID == channelID && DeliveryState(there.ChannelDelivery.State) == Pending {
			return row, fault.New(fault.Conflict, "the delivery is on its way already")
		}
		return row, fault.New(fault.NotFound, "there is no such delivery")
	})
}

// enqueue stores a delivery and its job together, and returns it as it is then.
func (s *Service) enqueue(ctx context.Context, store func(*rows.Queries) (rows.ChannelDelivery, error)) (Delivery, error) {
	var listed []Delivery
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		queries := s.Queries.WithTx(tx)
		stored, err := store(queries)
		if err != nil {
			return err
		}
		if _, err := s.Queue.InsertTx(ctx, tx, DeliveryJob{DeliveryID: stored.ID, Before: stored.AttemptCount}, nil); err != nil {
			return err
		}
		listed, err = withAttempts(ctx, queries, []rows.ChannelDelivery{stored})
		return err
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("enqueue delivery: %w", err)
	}
	return listed[0], nil
}

// deleteBatch is how many rows one statement deletes.
const deleteBatch = 1000

// Expire deletes deliveries from before a time that are not on their way, and
// returns how many those were.
func (s *Service) Expire(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		deleted, err := s.Queries.DeleteOldDeliveries(ctx, rows.DeleteOldDeliveriesParams{Before: before, Batch: deleteBatch})
		if err != nil {
			return total, fmt.Errorf("delete old deliveries: %w", err)
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}
