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
	// jobTimeout is longer than any build.
	jobTimeout = mostTime + time.Hour
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

// Run gives builds whose control plane has died to others, ends builds that are not
// started, and removes those that hosts must not have, until ctx ends.
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
	if err := discardDeadJobs(ctx, s.pool); err != nil {
		return err
	}
	if err := s.endStale(ctx); err != nil {
		return err
	}
	return s.removeStrays(ctx)
}

// strayTimeout bounds the calls to one host.
const strayTimeout = 10 * time.Second

// removeStrays removes builds from hosts that were away when they were to be ended.
func (s *Service) removeStrays(ctx context.Context) error {
	store := newStore(s.pool)
	remove, gone, err := store.strays(ctx)
	if err != nil {
		return err
	}
	for _, stray := range remove {
		if err := s.removeStray(ctx, stray); err != nil {
			s.log.WarnContext(ctx, "remove a build from a host that was away", "build", stray.id, "host", stray.hostID, "error", err)
			continue
		}
		gone = append(gone, stray)
	}
	for _, stray := range gone {
		if err := store.deleteStray(ctx, stray); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) removeStray(ctx context.Context, stray placedBuild) error {
	ctx, cancel := context.WithTimeout(ctx, strayTimeout)
	defer cancel()
	if err := s.hosts(stray.hostID).CancelBuild(ctx, stray.id.String()); err != nil {
		return err
	}
	return s.hosts(stray.hostID).DeleteSnapshot(ctx, stray.id.String())
}
