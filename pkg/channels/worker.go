package channels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// QueueName is the queue of deliveries.
const QueueName = "channels"

const (
	// maxAttempts and the delays between them add up to about six hours.
	maxAttempts   = 12
	shortestDelay = 5 * time.Second
	longestDelay  = time.Hour
)

// Inserted is the result of inserting a job.
type Inserted = rivertype.JobInsertResult

// DeliveryJob is the job of a delivery.
type DeliveryJob struct {
	DeliveryID uuid.UUID `json:"deliveryID"`
	// Before is how many attempts earlier jobs of the delivery made.
	Before int32 `json:"before"`
}

// Kind names the job.
func (DeliveryJob) Kind() string { return "channel_delivery" }

// InsertOpts names the job's queue.
func (DeliveryJob) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueName} }

// Worker sends deliveries.
type Worker struct {
	river.WorkerDefaults[DeliveryJob]
	store   store
	keyring *seal.Keyring
	sender  *sender
	log     *slog.Logger
	delay   func(attempt int32) time.Duration
}

// NewWorker makes a Worker that sends to public addresses and to the allowed networks.
func NewWorker(conn db.Conn, keyring *seal.Keyring, mailer mail.Mailer, allowed []netip.Prefix, log *slog.Logger) *Worker {
	return &Worker{store: newStore(conn), keyring: keyring, sender: newSender(mailer, allowed), log: log, delay: backOff}
}

// Work makes one attempt. The queue keeps the job until the delivery is delivered or
// given up.
func (w *Worker) Work(ctx context.Context, job *river.Job[DeliveryJob]) error {
	delivery, channel, err := w.store.delivery(ctx, job.Args.DeliveryID)
	if errors.Is(err, db.ErrNoRow) {
		return nil // its channel was deleted
	}
	unreadable := errors.Is(err, errUnreadable)
	if err != nil && !unreadable {
		return err
	}
	if delivery.State != Pending {
		return nil // the process ended between the attempt's record and the job's
	}
	began, result := time.Now(), outcome{failure: FailureMessage, cause: err, hopeless: true}
	if !unreadable {
		result = w.attempt(ctx, delivery, channel)
	}
	if ctx.Err() != nil {
		return ctx.Err() // the server stops; the receiver did not fail
	}
	return w.record(ctx, delivery, channel, delivery.attemptCount-job.Args.Before+1, began, result)
}

func (w *Worker) attempt(ctx context.Context, delivery queued, channel record) outcome {
	isTest := delivery.Event.ID == 0
	switch {
	case !channel.Enabled && !isTest:
		return outcome{failure: FailureDisabled, hopeless: true}
	// The channel may have changed since the delivery was made.
	case slices.Contains(channel.hiddenKinds, delivery.Event.Type.Kind()) && !isTest:
		return outcome{failure: FailureHidden, hopeless: true}
	}
	config, err := openConfig(w.keyring, channel)
	if err != nil {
		w.log.ErrorContext(ctx, "the config of a channel cannot be opened", "channel", channel.ID, "error", err)
		return outcome{failure: FailureConfig, hopeless: true}
	}
	return w.sender.send(ctx, message{
		kind: channel.Kind, config: config, event: delivery.Event, body: delivery.body, deliveryID: delivery.ID.String(),
	})
}

func (w *Worker) record(ctx context.Context, delivery queued, channel record, attempt int32, began time.Time, result outcome) error {
	delivery.State, delivery.NextAttemptAt = Delivered, nil
	var after error
	switch {
	case result.failure == "":
	case result.hopeless || attempt >= maxAttempts:
		delivery.State = Dead
		w.log.WarnContext(ctx, "a delivery was given up", "channel", channel.ID, "delivery", delivery.ID, "attempts", attempt, "failure", result.failure, "cause", result.cause)
	default:
		delay := max(w.delay(attempt), result.retryAfter)
		next := time.Now().Add(delay)
		delivery.State, delivery.NextAttemptAt = Pending, &next
		after = river.JobSnooze(delay)
	}
	made := Attempt{At: began, Duration: time.Since(began), StatusCode: result.statusCode, Failure: result.failure}
	if err := w.store.recordAttempt(ctx, delivery.Delivery, made); err != nil {
		return fmt.Errorf("delivery %s: %w", delivery.ID, err)
	}
	return after
}

// Timeout is longer than any attempt takes.
func (*Worker) Timeout(*river.Job[DeliveryJob]) time.Duration { return 4 * sendTimeout }

// backOff doubles from attempt to attempt. Up to half of it is random, so that
// deliveries that failed together are not retried together.
func backOff(attempt int32) time.Duration {
	delay := longestDelay
	if doublings := attempt - 1; doublings < 10 {
		delay = min(shortestDelay<<doublings, longestDelay)
	}
	return delay/2 + rand.N(delay/2+1)
}
