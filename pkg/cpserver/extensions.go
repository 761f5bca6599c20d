package cpserver

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// startExtensions gets ready what others have added, and lets them be asked from
// then on.
func (s *server) startExtensions(ctx context.Context) error {
	set, err := extension.New(s.log, s.given...)
	if err != nil || len(s.given) == 0 {
		return err
	}
	s.parts.OnStop("stop extensions", func(ctx context.Context) error { set.Stop(ctx); return nil })
	err = set.Start(ctx, extension.Server{Admit: s.api.Require, Context: cpextension.ServerContext{
		Version: s.version, Config: *s.config,
		Pool: s.pool, Queries: s.queries,
		Sandboxes: s.sandboxes, Templates: s.templates, Usage: s.usage,
		Hosts: s.hosts, Scheduler: s.scheduler,
		Identity: s.identity, Events: s.events, EventLog: events.NewLog(s.pool), Audit: audit.NewLog(s.pool),
		Channels: s.channels, Mailer: s.mailer, Keyring: s.keyring,
		JobWorkers: s.workers, Jobs: s.jobs, Fail: s.api.Fail, Stopping: s.api.Stopping(),
	}})
	if err != nil {
		return err
	}
	s.extensions, s.sandboxes.Guard, s.api.Extensions = set, set, set
	return nil
}

// runExtensions lets extensions work by themselves.
func (s *server) runExtensions(context.Context) error {
	if s.extensions == nil {
		return nil
	}
	s.extensions.Begin()
	s.parts.OnStop("end the work of extensions", func(ctx context.Context) error { s.extensions.End(ctx); return nil })
	return nil
}
