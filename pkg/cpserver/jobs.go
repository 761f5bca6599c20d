package cpserver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

const (
	// How many jobs of a queue one control plane runs at a time.
	deliveryWorkers = 20
	otherWorkers    = 5
	// buildWorkers mostly wait for their hosts.
	buildWorkers = 200
	// jobRescue is after how long another process takes over the job of one that has
	// died. A worker with a longer timeout keeps its jobs that long.
	jobRescue = 2 * time.Minute
	// tidyEvery is how often expired rows are deleted.
	tidyEvery = time.Hour
	// jobStopTimeout bounds the wait for jobs at a stop. Jobs that are cut off run again.
	jobStopTimeout = 10 * time.Second
)

// jobQueue is the queue of durable jobs.
type jobQueue struct {
	// workers may be added to until start.
	workers *river.Workers
	client  *river.Client[pgx.Tx]
}

func openJobQueue(b *base) (*jobQueue, error) {
	workers := river.NewWorkers()
	client, err := river.NewClient(riverpgxv5.New(b.Pool), &river.Config{
		Logger: slog.New(warnings{b.Log.Handler()}), Workers: workers, RescueStuckJobsAfter: jobRescue, SoftStopTimeout: jobStopTimeout,
		Queues: map[string]river.QueueConfig{
			channels.QueueName: {MaxWorkers: deliveryWorkers}, river.QueueDefault: {MaxWorkers: otherWorkers},
			builds.QueueName: {MaxWorkers: buildWorkers},
		},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(tidyEvery),
			func() (river.JobArgs, *river.InsertOpts) { return idempotency.Job{}, nil }, nil)},
	})
	return &jobQueue{workers: workers, client: client}, err
}

// addWorkers adds the control plane's own workers.
func (q *jobQueue) addWorkers(b *base, boxes *sandboxes.Service, builder *builds.Service) error {
	delivery := channels.NewWorker(b.Pool, b.keys.keyring, b.mailer, b.Config.ChannelNetworks, b.Log)
	if err := river.AddWorkerSafely(q.workers, delivery); err != nil {
		return fmt.Errorf("of channels: %w", err)
	}
	if err := river.AddWorkerSafely(q.workers, &secrets.Worker{Sandboxes: boxes}); err != nil {
		return fmt.Errorf("of secrets: %w", err)
	}
	if err := river.AddWorkerSafely(q.workers, &builds.Worker{Builds: builder}); err != nil {
		return fmt.Errorf("of builds: %w", err)
	}
	if err := river.AddWorkerSafely(q.workers, idempotency.NewWorker(b.Pool)); err != nil {
		return fmt.Errorf("of idempotency keys: %w", err)
	}
	return nil
}

func (q *jobQueue) start(ctx context.Context, steps *boot.Sequence) error {
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	steps.OnStop("stop the job queue", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*jobStopTimeout)
		defer cancel()
		return q.client.Stop(ctx)
	})
	return nil
}

// warnings is a handler of logs that drops lines below a warning: the job queue logs
// each job.
type warnings struct{ slog.Handler }

// Enabled reports whether a line of the level is logged.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs returns a handler that drops the same lines.
func (w warnings) WithAttrs(attributes []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attributes)}
}

// WithGroup returns a handler that drops the same lines.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
