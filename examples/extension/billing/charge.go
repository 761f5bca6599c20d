package billing

import (
	"context"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// queue is the extension's own job queue: its jobs and the server's do not wait for
// each other.
const queue = "billing"

// started are the events that are charged.
var started = events.Filter{Types: []string{string(events.SandboxStarted)}}

// JobQueues returns how many jobs a control plane works on at a time.
func (e *Extension) JobQueues() map[string]int { return map[string]int{queue: 2} }

// Wanted selects the events for OnEvent.
func (e *Extension) Wanted() events.Filter { return started }

// OnEvent enqueues a durable job. With several control planes each does, which is
// harmless: the worker charges an event once.
func (e *Extension) OnEvent(ctx context.Context, event events.Event) error {
	_, err := e.server.Jobs.Insert(ctx, chargeTeam{TeamID: event.TeamID}, &river.InsertOpts{Queue: queue})
	return err
}

// chargeTeam is the job to charge a team for all that it has started.
type chargeTeam struct {
	TeamID uuid.UUID `json:"teamID"`
}

// Kind names the job in the database. It must never change.
func (chargeTeam) Kind() string { return "billing_charge_team" }

// chargeWorker works on the jobs. One that fails is tried again.
type chargeWorker struct {
	river.WorkerDefaults[chargeTeam]
	billing *Extension
}

func (w *chargeWorker) Work(ctx context.Context, job *river.Job[chargeTeam]) error {
	return w.billing.store.charge(ctx, job.Args.TeamID, w.billing.settings.Cents)
}
