package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// QueueName is the queue that deliveries wait in.
const QueueName = "channels"

const (
	// maxAttempts and the delays between give a receiver about six hours.
	maxAttempts   = 12
	shortestDelay = 5 * time.Second
	longestDelay  = time.Hour
)

// Inserted is what the queue answers for a job.
type Inserted = rivertype.JobInsertResult

// DeliveryJob is the job of a delivery.
type DeliveryJob struct {
	DeliveryID uuid.UUID `json:"deliveryID"`
	// Before is how many attempts were made before this job.
	Before int32 `json:"before"`
}

// Kind names the job.
func (DeliveryJob) Kind() string { return "channel_delivery" }

// InsertOpts puts it into its queue.
func (DeliveryJob) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueName} }

// Worker makes deliveries.
type Worker struct {
	river.WorkerDefaults[DeliveryJob]
	queries *rows.Queries
	keyring *seal.Keyring
	sender  *sender
	log     *slog.Logger
	delay   func(attempt int32) time.Duration
}

// NewWorker makes a worker that sends to public addresses, and into the networks
// that are allowed besides.
func NewWorker(queries *rows.Queries, keyring *seal.Keyring, mailer mail.Mailer, allowed []netip.Prefix, log *slog.Logger) *Worker {
	return &Worker{queries: queries, keyring: keyring, sender: newSender(mailer, allowed), log: log, delay: backOff}
}

// Work makes one attempt. The queue keeps the job until it was successful, has
// failed too often, or has become pointless.
func (w *Worker) Work(ctx context.Context, job *river.Job[DeliveryJob]) error {
	row, err := w.queries.GetDelivery(ctx, job.Args.DeliveryID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // its channel was deleted
	}
	if err != nil {
		return fmt.Errorf("get delivery %s: %w", job.Args.DeliveryID, err)
	}
	if DeliveryState(row.ChannelDelivery.State) != Pending {
		return nil // this process died after it had delivered
	}
	began := time.Now()
	result := w.attempt(ctx, row)
	if ctx.Err() != nil {
		return ctx.Err() // a server that stops, not a receiver that fails
	}
	attempt := row.ChannelDelivery.AttemptCount - job.Args.Before + 1
	return w.record(ctx, row, attempt, began, result)
}

func (w *Worker) attempt(ctx context.Context, row rows.GetDeliveryRow) outcome {
	if !row.Channel.Enabled && row.ChannelDelivery.EventID != 0 {
		return outcome{failure: FailureDisabled, hopeless: true}
	}
	var event events.Event
	if err := json.Unmarshal(row.ChannelDelivery.Event, &event); err != nil {
		return outcome{failure: FailureMessage, cause: err, hopeless: true}
	}
	// It may lead elsewhere since the event was found to be for it.
	if slices.Contains(row.Channel.HiddenKinds, event.Type.Kind()) && row.ChannelDelivery.EventID != 0 {
		return outcome{failure: FailureHidden, hopeless: true}
	}
	config, err := openConfig(w.keyring, row.Channel)
	if err != nil {
		w.log.Error("a channel cannot be opened", "channel", row.Channel.ID, "error", err)
		return outcome{failure: FailureConfig, hopeless: true}
	}
	m := message{
		kind: Kind(row.Channel.Kind), config: config,
		event: event, body: row.ChannelDelivery.Event, deliveryID: row.ChannelDelivery.ID.String(),
	}
	return w.sender.send(ctx, m)
}

func (w *Worker) record(ctx context.Context, row rows.GetDeliveryRow, attempt int32, began time.Time, result outcome) error {
	params := rows.RecordAttemptParams{
		DeliveryID: row.ChannelDelivery.ID, State: string(Delivered), At: began,
		DurationMs: int32(time.Since(began).Milliseconds()), StatusCode: int32(result.statusCode), Error: string(result.failure),
	}
	var after error
	switch {
	case result.failure == "":
	case result.hopeless || attempt >= maxAttempts:
		params.State = string(Dead)
		w.log.Warn("a delivery was given up", "channel", row.Channel.ID, "delivery", params.DeliveryID, "attempts", attempt, "failure", result.failure, "cause", result.cause)
	default:
		delay := max(w.delay(attempt), result.retryAfter)
		next := time.Now().Add(delay)
		params.State, params.NextAttemptAt = string(Pending), &next
		after = river.JobSnooze(delay)
	}
	if err := w.queries.RecordAttempt(ctx, params); err != nil {
		return fmt.Errorf("record attempt of delivery %s: %w", params.DeliveryID, err)
	}
	return after
}

// Timeout is longer than any attempt takes.
func (*Worker) Timeout(*river.Job[DeliveryJob]) time.Duration { return 4 * sendTimeout }

// backOff doubles from attempt to attempt. Up to half of it is chance, so that
// what failed together does not come back together.
func backOff(attempt int32) time.Duration {
	delay := longestDelay
	if doublings := attempt - 1; doublings < 10 {
		delay = min(shortestDelay<<doublings, longestDelay)
	}
	return delay/2 + rand.N(delay/2+1)
}
