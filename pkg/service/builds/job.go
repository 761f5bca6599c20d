package builds

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// QueueName is the queue of builds, apart from that of short jobs.
const QueueName = "builds"

const (
	// jobTimeout is longer than any build: a host ends a build after an hour.
	jobTimeout = 2 * time.Hour
	// sweepEvery is how often builds without a control plane are looked for.
	sweepEvery = 2 * time.Second
	// idleAfter is how long a job may wait to be worked on before another is enqueued.
	idleAfter = 2 * time.Minute
	// releaseDelay keeps a control plane that stops from taking its own builds again.
	releaseDelay = time.Second
)

// Job drives one build. It has nothing of the definition.
type Job struct {
	BuildID uuid.UUID `json:"buildID"`
	// Turn counts the jobs of the build; only the last one drives it.
	Turn int32 `json:"turn"`
}

// Kind names the job in the queue.
func (Job) Kind() string { return "build_template" }

// InsertOpts names the queue. The one attempt: builds whose job has ended early get
// another job.
func (Job) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: QueueName, MaxAttempts: 1} }

func (s *Service) enqueue(ctx context.Context, tx pgx.Tx, job Job) error {
	if _, err := s.queue.InsertTx(ctx, tx, job, nil); err != nil {
		return fmt.Errorf("enqueue build %s: %w", job.BuildID, err)
	}
	return nil
}

// Worker works on Jobs.
type Worker struct {
	river.WorkerDefaults[Job]
	Builds *Service
}

// Timeout bounds one job.
func (*Worker) Timeout(*river.Job[Job]) time.Duration { return jobTimeout }

// Work drives a build to its end, unless another control plane does.
func (w *Worker) Work(ctx context.Context, job *river.Job[Job]) error {
	if w.Builds.isStopping() {
		return river.JobSnooze(releaseDelay)
	}
	return w.Builds.Drive(ctx, job.Args)
}

// Run gives builds whose control plane has died to others, and ends builds that are not
// started, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	for wait.For(ctx, sweepEvery) {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "look for builds without a control plane", "error", err)
		}
	}
}

// Sweep is one round of Run.
func (s *Service) Sweep(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		jobs, err := newStore(tx).abandoned(ctx, time.Now().Add(-idleAfter))
		if err != nil {
			return err
		}
		for _, job := range jobs {
			if err := s.enqueue(ctx, tx, job); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.endStale(ctx)
}
