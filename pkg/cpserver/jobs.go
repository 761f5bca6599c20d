package cpserver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
)

const (
	// How many jobs of a queue one control plane works on at a time.
	deliveryWorkers = 20
	otherWorkers    = 5
	// jobRescue is after how long a job is taken from a process that has died. A
	// worker with a longer timeout keeps its jobs that long.
	jobRescue = 2 * time.Minute
	// tidyEvery is how often what has expired is deleted.
	tidyEvery = time.Hour
	// jobStopTimeout is how long a stop waits for jobs; what it ends is done again.
	jobStopTimeout = 10 * time.Second
)

// openJobs makes the job queue. Its workers are added by the steps that follow.
func (s *server) openJobs(context.Context) error {
	s.workers = river.NewWorkers()
	if err := river.AddWorkerSafely(s.workers, idempotency.NewWorker(s.pool)); err != nil {
		return fmt.Errorf("add a worker: %w", err)
	}
	jobs, err := river.NewClient(riverpgxv5.New(s.pool), &river.Config{
		Logger: slog.New(quiet{s.log.Handler()}), Workers: s.workers, RescueStuckJobsAfter: jobRescue, SoftStopTimeout: jobStopTimeout,
		Queues: map[string]river.QueueConfig{
			channels.QueueName: {MaxWorkers: deliveryWorkers}, river.QueueDefault: {MaxWorkers: otherWorkers},
		},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(tidyEvery),
			func() (river.JobArgs, *river.InsertOpts) { return idempotency.Job{}, nil }, nil)},
	})
	if err != nil {
		return fmt.Errorf("make job queue: %w", err)
	}
	s.jobs = jobs
	return nil
}

func (s *server) startJobs(ctx context.Context) error {
	if err := s.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	s.parts.OnStop("stop the job queue", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*jobStopTimeout)
		defer cancel()
		return s.jobs.Stop(ctx)
	})
	return nil
}

// quiet keeps from the log what the queue tells of its daily work.
type quiet struct{ slog.Handler }

// Enabled lets pass what somebody should look at.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// WithAttrs keeps a logger with attributes as quiet.
func (q quiet) WithAttrs(attributes []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attributes)}
}

// WithGroup keeps a logger of a group as quiet.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
