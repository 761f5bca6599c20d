package cpextension

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// Subscriber is an extension that hears of events.
//
// Each control plane tells its own extensions of every event from when it has
// started, so that of two replicas both hear of it: whoever must act once stores
// the event's ID under a unique key. An extension that is more than some hundred
// events behind misses some, which the log says. Who must not miss any reads what
// is behind the last ID that it has stored from ServerContext.EventLog.
type Subscriber interface {
	// Wanted selects the events.
	Wanted() events.Filter
	// OnEvent is called for one event after the other. An error is logged.
	OnEvent(ctx context.Context, event events.Event) error
}

// JobQueues is an extension with queues of its own for durable jobs, so that its jobs
// and the server's do not wait for each other.
type JobQueues interface {
	// JobQueues returns how many jobs of each queue a control plane works on at a time.
	// A queue's name is the extension's, or begins with the extension's and an
	// underscore. A job goes there by its river.InsertOpts.
	JobQueues() map[string]int
}

// Background is an extension that works by itself.
type Background interface {
	Workers() []Worker
}

// Worker is something that is done for as long as the server runs, in each
// replica: where only one must, it takes an advisory lock in PostgreSQL. For
// single jobs that must not get lost, see ServerContext.Jobs.
type Worker struct {
	// Name is for the log.
	Name string
	// Run works until ctx ends. If it fails or panics before that it is run again,
	// after a while that grows from a second to a minute; if it returns nil it has
	// done its work.
	Run func(ctx context.Context) error
}
