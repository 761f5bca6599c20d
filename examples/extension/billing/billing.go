// Package billing is an extension of Wrenn's control plane: a team runs as many sandboxes
// at a time as its plan allows, and each sandbox that starts is charged.
package billing

import (
	"context"
	"embed"
	"io/fs"

	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// The server looks for these interfaces. The compiler finds a misspelt method.
var _ interface {
	cpextension.Configured
	cpextension.CreateGuard
	cpextension.Describer
	cpextension.JobQueues
	cpextension.Migrator
	cpextension.Pager
	cpextension.Router
	cpextension.Starter
	cpextension.Subscriber
} = (*Extension)(nil)

//go:embed *.sql
var migrations embed.FS

// Extension is the extension, for cpserver.WithExtensions. While it does not run, the
// server creates no sandboxes, because it guards them.
type Extension struct {
	settings struct {
		Quota int64 `env:"WRENN_BILLING_QUOTA" default:"2" min:"0" help:"how many sandboxes a team without a plan runs at a time"`
		Cents int64 `env:"WRENN_BILLING_CENTS" default:"5" min:"0" help:"price of a sandbox that starts, in cents"`
	}
	server *cpextension.ServerContext
	store  store
}

// Name is in the paths of the routes, /extensions/billing. It must never change.
func (e *Extension) Name() string { return "billing" }

// Configuration has the settings. They are read and checked before Start, and
// "wrenn config" prints them.
func (e *Extension) Configuration() any { return &e.settings }

// Migrations create the tables before Start.
func (e *Extension) Migrations() fs.FS { return migrations }

// Start takes what the server has, and adds the worker of the queue.
func (e *Extension) Start(_ context.Context, server *cpextension.ServerContext) error {
	e.server, e.store = server, store{server.Pool}
	return river.AddWorkerSafely(server.JobWorkers, &chargeWorker{billing: e})
}

// BeforeCreate is the veto: it refuses sandboxes over the quota, with status 402. Any
// other error refuses them with 503, because the quota is not known then.
func (e *Extension) BeforeCreate(ctx context.Context, wanted sandboxes.Creation) error {
	quota, err := e.store.quota(ctx, wanted.TeamID, e.settings.Quota)
	if err != nil {
		return err
	}
	has, err := e.server.Usage.Has(ctx, wanted.TeamID)
	if err != nil {
		return err
	}
	if has.Sandboxes+int64(wanted.Count) > quota {
		return cpextension.AskForPayment("the team's plan has %d sandboxes at a time, and %d run", quota, has.Sandboxes)
	}
	return nil
}
