package extension

import (
	"context"
	"fmt"
	"strings"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Start migrates and starts all extensions, then collects their routes and background
// work. It returns an error if a required extension fails. Others that fail do not run.
func (s *Set) Start(ctx context.Context, server Server) error {
	s.server = server
	for _, prepare := range []func(context.Context, *instance) error{s.start, s.collect} {
		for _, i := range s.instances {
			if i.is(Failed) {
				continue
			}
			if err := prepare(ctx, i); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				if i.required {
					return fmt.Errorf("extension %s: %w", i.name, err)
				}
				i.become(Failed)
				i.report(ctx, "start", err)
			}
		}
	}
	for _, i := range s.instances {
		if i.is(Starting) {
			i.become(Running)
			i.log.InfoContext(ctx, "extension is running")
		}
	}
	return nil
}

// start migrates and starts an extension.
func (s *Set) start(ctx context.Context, i *instance) error {
	i.fail = s.server.Context.Fail
	if err := s.migrate(ctx, i); err != nil {
		return err
	}
	if starter, starts := i.extension.(cpextension.Starter); starts {
		own := s.server.Context
		own.Log = i.log
		err := i.within(ctx, cpextension.StartTimeout, func(ctx context.Context) error { return starter.Start(ctx, &own) })
		if err != nil {
			return err
		}
	}
	i.started = true
	return nil
}

func (s *Set) migrate(ctx context.Context, i *instance) error {
	migrator, migrates := i.extension.(cpextension.Migrator)
	if !migrates {
		return nil
	}
	return protect(func() error {
		return db.MigrateExtension(ctx, s.server.Context.Pool, i.name, migrator.Migrations())
	})
}

// collect gets the routes, queues, background work and event filter of an extension.
func (s *Set) collect(_ context.Context, i *instance) error {
	return protect(func() error {
		if err := s.route(i); err != nil {
			return err
		}
		if err := i.describe(); err != nil {
			return err
		}
		if err := s.openQueues(i); err != nil {
			return err
		}
		if background, works := i.extension.(cpextension.Background); works {
			i.workers = background.Workers()
		}
		if subscriber, listens := i.extension.(cpextension.Subscriber); listens {
			i.filter = subscriber.Wanted()
		}
		return nil
	})
}

// openQueues adds an extension's queues to the job queue, which does not run yet.
func (s *Set) openQueues(i *instance) error {
	queues, has := i.extension.(cpextension.JobQueues)
	if !has {
		return nil
	}
	for name, workers := range queues.JobQueues() {
		if name != i.name && !strings.HasPrefix(name, i.name+"_") {
			return fmt.Errorf("job queue %q: the name must be %s or begin with %s_", name, i.name, i.name)
		}
		if err := s.server.Context.Jobs.Queues().Add(name, river.QueueConfig{MaxWorkers: workers}); err != nil {
			return fmt.Errorf("job queue %q: %w", name, err)
		}
	}
	return nil
}

// Stop calls Stop of all started extensions, in reverse order. It does not wait for those
// that exceed their timeout.
func (s *Set) Stop(ctx context.Context) {
	for n := len(s.instances) - 1; n >= 0; n-- {
		i := s.instances[n]
		if !i.started {
			continue
		}
		if stopper, stops := i.extension.(cpextension.Stopper); stops {
			if err := i.within(ctx, cpextension.StopTimeout, stopper.Stop); err != nil {
				i.report(ctx, "stop", err)
			}
		}
		settling, cancel := context.WithTimeout(ctx, cpextension.StopTimeout)
		if err := i.settle(settling); err != nil {
			i.report(ctx, "stop", err)
		}
		cancel()
	}
}
