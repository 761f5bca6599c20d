package cpserver

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// startExtensions starts the extensions with what they may use of the server. Routes,
// guards and middlewares of extensions work from then on.
func startExtensions(
	ctx context.Context, steps *boot.Sequence, extensions *extension.Set, b *base, h *hosts, s *services, server *api.Server,
) error {
	steps.OnStop("stop extensions", func(ctx context.Context) error { extensions.Stop(ctx); return nil })
	return extensions.Start(ctx, extension.Server{Admit: server.Require, Context: cpextension.ServerContext{
		Version: b.version, Config: b.Config,
		Pool:      b.Pool,
		Sandboxes: s.sandboxes, Templates: s.templates, Volumes: s.volumes, Secrets: s.secrets, Usage: s.usage,
		Hosts: s.hosts, Scheduler: h.scheduler,
		Identity: s.identity, Keys: server.APIKeys, Events: s.events, EventLog: events.NewLog(b.Pool), Audit: s.audit,
		Channels: s.channels, Mailer: b.mailer, Keyring: b.keys.keyring,
		JobWorkers: s.queue.workers, Jobs: s.queue.client, Fail: server.Fail, Stopping: server.Stopping(),
	}})
}
