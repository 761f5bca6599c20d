// Package cpserver is the control plane as a library: Run builds it from its
// parts, serves until it is told to stop, and takes it apart again.
package cpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/internal/proxy"
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
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// server is the control plane while it is built, runs and is taken apart.
type server struct {
	config   *config.Config
	log      *slog.Logger
	version  string
	listener net.Listener
	mailer   mail.Mailer
	output   io.Writer // for the person who starts the server
	given    []cpextension.Extension
	around   func(http.Handler) http.Handler // for tests: around all but the traffic to sandboxes

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
	volumes    *volumes.Service
	issuer     *fleet.TokenIssuer
	hostSync   *fleet.Sync
	hosts      *fleet.Service
	followers  *fleet.Followers
	forwarder  *proxy.Forwarder
	api        *api.Server
	http       *http.Server

	extensions *extension.Set // nil where there are none

	undo   []func(context.Context) error
	served chan struct{} // closed when the HTTP server has ended
	failed chan error    // a part that has stopped unasked
}

// step is one part of the bootstrap. What it makes it also registers to be
// undone.
type step struct {
	name string
	run  func(context.Context) error
}

// Run starts the control plane and serves until ctx ends. It then stops taking
// requests, pauses all sandboxes if the configuration asks for it, and returns.
func Run(ctx context.Context, options ...Option) (err error) {
	s := &server{output: os.Stdout, served: make(chan struct{}), failed: make(chan error, 1)}
	for _, option := range options {
		option(s)
	}
	defer func() { err = errors.Join(err, s.tearDown(context.WithoutCancel(ctx))) }()
	for _, step := range []step{
		{"read configuration", s.configure},
		{"open database", s.openDatabase},
		{"migrate database", s.migrate},
		{"claim a place among the control planes", s.claim},
		{"read secret keys", s.readKeys},
		{"set up mail", s.openMail},
		{"make sure of the default team", s.bootstrapTeam},
		{"register the local host", s.registerHost},
		{"build services", s.buildServices},
		{"build the fleet of hosts", s.buildFleet},
		{"build identity", s.buildIdentity},
		{"follow events", s.followEvents},
		{"open the job queue", s.openJobs},
		{"build channels", s.buildChannels},
		{"build secrets", s.buildSecrets},
		{"follow secret keys", s.startKeys},
		{"start extensions", s.startExtensions},
		{"start the job queue", s.startJobs},
		{"listen", s.listen},
		{"take over the local host's sandboxes", s.firstSync},
		{"run extensions", s.runExtensions},
		{"start background work", s.startWork},
		{"show the first admin's link", s.showFirstAdminLink},
		{"serve", s.serve},
	} {
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	s.log.Info("control plane is ready", "address", s.listener.Addr().String(), "version", s.version)
	select {
	case <-ctx.Done():
		s.log.Info("control plane is stopping")
		return nil
	case err := <-s.failed:
		return err
	}
}

// onTearDown registers how to undo what a step has done.
func (s *server) onTearDown(undo func(context.Context) error) { s.undo = append(s.undo, undo) }

func (s *server) tearDown(ctx context.Context) error {
	var failures []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		failures = append(failures, s.undo[i](ctx))
	}
	return errors.Join(failures...)
}

// background runs work until the tear-down, which waits for its end.
func (s *server) background(work ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range work {
		running.Go(func() { run(ctx) })
	}
	s.onTearDown(func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

func (s *server) configure(context.Context) error {
	if s.config == nil {
		read, err := config.FromEnvironment(os.Getenv)
		if err != nil {
			return err
		}
		s.config = &read
	}
	if s.log == nil {
		options := &slog.HandlerOptions{Level: s.config.LogLevel}
		if s.config.LogFormat == "json" {
			s.log = slog.New(slog.NewJSONHandler(os.Stderr, options))
		} else {
			s.log = slog.New(slog.NewTextHandler(os.Stderr, options))
		}
	}
	return nil
}
