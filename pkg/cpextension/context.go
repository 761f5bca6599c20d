package cpextension

import (
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// ServerContext is what the server gives to an extension. Its parts are the server's own,
// are safe for concurrent use unless they say otherwise, and can be used until Stop
// returns.
type ServerContext struct {
	// Version is the version of the server.
	Version string
	Config  config.Config
	// Log adds the extension's name to each record.
	Log *slog.Logger

	// Pool is of the control plane's database, where the extension's own tables are.
	Pool *pgxpool.Pool

	Sandboxes *sandboxes.Service
	Templates *templates.Service
	Volumes   *volumes.Service
	Secrets   *secrets.Service
	Usage     *usage.Service
	Hosts     *fleet.Service
	Scheduler scheduler.Scheduler

	// Identity has users, teams, members and invitations. An extension adds a way to sign
	// in with Identity.AddProvider during Start, and provisions users with
	// Identity.Directory. Keys has API keys and access tokens.
	Identity *identity.Service
	Keys     *keys.Service
	// Events are new events, EventLog past ones. events.Record records events of the
	// extension.
	Events   *events.Bus
	EventLog events.Log
	Audit    audit.Log
	Channels *channels.Service
	Mailer   mail.Mailer
	// Keyring encrypts secrets that the extension stores.
	Keyring *seal.Keyring

	// JobWorkers takes workers of durable jobs, by river.AddWorkerSafely and only during
	// Start. Jobs enqueues jobs.
	JobWorkers *river.Workers
	Jobs       *river.Client[pgx.Tx]

	// Fail answers a request with an error in the form of the control API: a *fault.Error
	// by its code, any other as an internal error without its text.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Stopping is closed when the server refuses new requests and waits for those in
	// progress: an answer that may last without end must end then.
	Stopping <-chan struct{}
}
