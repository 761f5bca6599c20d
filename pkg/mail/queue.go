package mail

import (
	"context"
	"log/slog"
	"time"
)

const (
	// maxQueued is how many messages may wait.
	maxQueued = 100
	// lastTimeout bounds the sending of messages that wait when ctx ends.
	lastTimeout = 5 * time.Second
)

// Queue sends messages in the background. A request that adds one does not wait for it:
// the time that takes would tell whether an address has an account.
type Queue struct {
	mailer  Mailer
	log     *slog.Logger
	waiting chan Message
}

// NewQueue makes a Queue. Run sends its messages.
func NewQueue(mailer Mailer, log *slog.Logger) *Queue {
	return &Queue{mailer: mailer, log: log, waiting: make(chan Message, maxQueued)}
}

// Add queues a message. Where too many wait it drops it and logs that.
func (q *Queue) Add(message Message) {
	select {
	case q.waiting <- message:
	default:
		q.log.Error("a mail was dropped: too many wait to be sent", "subject", message.Subject)
	}
}

// Run sends messages until ctx ends, and then those that wait.
func (q *Queue) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			q.sendLast(context.WithoutCancel(ctx))
			return
		case message := <-q.waiting:
			q.send(ctx, message)
		}
	}
}

func (q *Queue) sendLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastTimeout)
	defer cancel()
	for {
		select {
		case message := <-q.waiting:
			q.send(ctx, message)
		default:
			return
		}
	}
}

func (q *Queue) send(ctx context.Context, message Message) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := q.mailer.Send(ctx, message); err != nil {
		q.log.ErrorContext(ctx, "a mail was not sent", "subject", message.Subject, "error", err)
	}
}
