package cpextension

import (
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// ServerContext is the server as an extension has it. Everything in it is the
// server's own, is safe for concurrent use unless it says otherwise, and works
// until Stop returns.
type ServerContext struct {
	// Version is what the server says it is.
	Version string
	Config  config.Config
	// Log says by itself which extension it is that logs.
	Log *slog.Logger

	// Pool is for the extension's own tables, and Queries for the control plane's.
	Pool    *pgxpool.Pool
	Queries *rows.Queries

	Sandboxes *sandboxes.Service
	Templates *templates.Service
	Usage     *usage.Service
	Hosts     *fleet.Service
	Scheduler scheduler.Scheduler

	// Identity is people, teams, members and invitations, API keys and access tokens.
	Identity *identity.Service
	// Events is what happens, EventLog what has happened. events.Record tells others
	// of what the extension does.
	Events   *events.Bus
	EventLog events.Log
	Audit    audit.Log
	Channels *channels.Service
	Mailer   mail.Mailer
	// Keyring seals secrets that the extension stores.
	Keyring *seal.Keyring

	// JobWorkers takes workers for durable jobs, by river.AddWorkerSafely and only
	// during Start; Jobs enqueues jobs for them.
	JobWorkers *river.Workers
	Jobs       *river.Client[pgx.Tx]

	// Fail answers a request with an error, in the shape that all of the control
	// API has: a *fault.Error as its code says, any other as an internal error.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Stopping is closed when the server takes no more requests and waits for those
	// under way: an answer without an end of its own must end then.
	Stopping <-chan struct{}
}
