package idempotency

import (
	"context"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Job deletes the keys whose life is over.
type Job struct{}

// Kind names the job in the queue.
func (Job) Kind() string { return "delete_idempotency_keys" }

// Worker works on Job.
type Worker struct {
	river.WorkerDefaults[Job]
	store keyStore
}

// NewWorker makes a Worker over a database.
func NewWorker(conn db.Conn) *Worker { return &Worker{store: newKeyStore(conn)} }

// Work deletes batch after batch until one is not full.
func (w *Worker) Work(ctx context.Context, _ *river.Job[Job]) error {
	const batch = 1000
	for {
		deleted, err := w.store.deleteOld(ctx, batch)
		if err != nil || deleted < batch {
			return err
		}
	}
}
