// Package cpserver is the control plane as a library: Run builds it from its
// parts, serves until it is told to stop, and takes it apart again.
package cpserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpextension"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// server is the control plane while it is built, runs and is taken apart.
type server struct {
	config   *config.Config
	log      *slog.Logger
	version  string
	listener net.Listener
	mailer   mail.Mailer
	// makeMailer and makeScheduler are nil where the configuration decides.
	makeMailer    func(context.Context, Base) (mail.Mailer, error)
	makeScheduler func(context.Context, Base) (scheduler.Scheduler, error)
	providers     []identity.Provider // beside those of the configuration
	output        io.Writer           // for the person who starts the server
	given         []cpextension.Extension
	around        func(http.Handler) http.Handler // for tests: around all but the traffic to sandboxes

	pool     *pgxpool.Pool
	queries  *rows.Queries
	claimant *db.Claimant
	tokens   *auth.Tokens
	// adminToken opens everything; empty where there is none.
	adminToken string
	keyring    *seal.Keyring
	identity   *identity.Service
	events     *events.Bus
	channels   *channels.Service
	workers    *river.Workers
	jobs       *river.Client[pgx.Tx]
	host       *host.Link
	hostID     uuid.UUID
	fleet      *fleet.Agents
	scheduler  scheduler.Scheduler
	placement  *placement.Service
	templates  *templates.Service
	sandboxes  *sandboxes.Service
	usage      *usage.Service
	volumes    *volumes.Service
	issuer     *fleet.TokenIssuer
	hostSync   *fleet.Sync
	hosts      *fleet.Service
	followers  *fleet.Followers
	forwarder  *forward.Forwarder
	api        *api.Server

	extensions *extension.Set // nil where there are none

	parts *boot.Sequence // what has been started
	ready chan struct{}  // closed when the HTTP server may answer
}

// Run starts the control plane and serves until ctx ends. It then stops taking
// requests, pauses all sandboxes if the configuration asks for it, and returns.
func Run(ctx context.Context, options ...Option) error {
	s := &server{output: os.Stdout, ready: make(chan struct{})}
	for _, option := range options {
		option(s)
	}
	return boot.Run(ctx, s.start)
}

// start builds and starts the parts, each after those that it needs.
func (s *server) start(ctx context.Context, parts *boot.Sequence) error {
	s.parts = parts
	err := parts.Start(ctx, []boot.Step{
		{Name: "read configuration", Do: s.configure},
		{Name: "open database", Do: s.openDatabase},
		{Name: "migrate database", Do: s.migrate},
		{Name: "claim a place among the control planes", Do: s.claim},
		{Name: "read secret keys", Do: s.readKeys},
		{Name: "set up mail", Do: s.newMailer},
		{Name: "make sure of the default team", Do: s.bootstrapTeam},
		{Name: "register the local host", Do: s.registerHost},
		{Name: "set up the scheduler", Do: s.newScheduler},
		{Name: "build services", Do: s.buildServices},
		{Name: "build the fleet of hosts", Do: s.buildFleet},
		{Name: "build identity", Do: s.buildIdentity},
		{Name: "follow events", Do: s.followEvents},
		{Name: "open the job queue", Do: s.openJobs},
		{Name: "build channels", Do: s.buildChannels},
		{Name: "build secrets", Do: s.buildSecrets},
		{Name: "follow secret keys", Do: s.startKeys},
		{Name: "start extensions", Do: s.startExtensions},
		{Name: "start the job queue", Do: s.startJobs},
		{Name: "listen", Do: s.listen},
		{Name: "take over the local host's sandboxes", Do: s.firstSync},
		{Name: "run extensions", Do: s.runExtensions},
		{Name: "start background work", Do: s.startWork},
		{Name: "show the first admin's link", Do: s.showFirstAdminLink},
		{Name: "serve", Do: s.serve},
	}...)
	if err != nil {
		return err
	}
	parts.OnStop("say so", func(context.Context) error { s.log.Info("control plane is stopping"); return nil })
	s.log.Info("control plane is ready", "address", s.listener.Addr().String(), "version", s.version)
	return nil
}

// configure reads the environment, unless the configuration was given.
func (s *server) configure(context.Context) error {
	var unknown []string
	if s.config == nil {
		read, err := config.Read(settings.Environment(os.Environ()))
		warnings, namesErr := settings.CheckNames(os.Environ())
		if err := errors.Join(err, namesErr); err != nil {
			return err
		}
		s.config, unknown = &read, warnings
	}
	if s.log == nil {
		s.log = s.config.Log.Logger(os.Stderr)
	}
	s.log = slog.New(requestlog.NewHandler(s.log.Handler()))
	for _, warning := range unknown {
		s.log.Warn("unknown setting", "reason", warning)
	}
	return nil
}
