package cpextension

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// Subscriber is an extension that handles events.
//
// Each control plane delivers each event that is recorded after its start to its own
// extensions, so that with two control planes both handle it. An extension that must act
// once stores the event's ID under a unique key. An extension that is several hundred
// events behind misses some, which is logged. An extension that must not miss any reads
// the events after the last ID that it has stored from ServerContext.EventLog.
type Subscriber interface {
	// Wanted returns which events are delivered.
	Wanted() events.Filter
	// OnEvent handles one event at a time. An error is logged.
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

// Background is an extension with background work.
type Background interface {
	Workers() []Worker
}

// Worker is background work that lasts as long as the server runs. Each control plane runs
// it; work that only one may do takes an advisory lock in PostgreSQL. For single jobs
// that must not get lost, see ServerContext.Jobs.
type Worker struct {
	// Name is the worker's name in the log.
	Name string
	// Run works until ctx ends. If it fails or panics before, it is called again after a
	// delay that grows from a second to a minute. If it returns nil it is not called
	// again.
	Run func(ctx context.Context) error
}
