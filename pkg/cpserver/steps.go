package cpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/proxy"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

const (
	defaultTeam = "default"
	localHost   = "local"
	// firstSyncTimeout is how long the start waits for a host agent that hangs.
	firstSyncTimeout = 10 * time.Second
	// drainTimeout is how long a stop waits for requests of the control API; a
	// pause that has begun may need it.
	drainTimeout = 90 * time.Second
	// closeTimeout is how long streams may take to end when all is paused.
	closeTimeout      = 2 * time.Second
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// bodyStall is how long a request's body may bring nothing before its answer
	// begins. Streams of official clients say something every 50 seconds.
	bodyStall = 2 * time.Minute
)

func (s *server) openDatabase(ctx context.Context) error {
	pool, err := db.Open(ctx, s.config.DatabaseURL)
	if err != nil {
		return err
	}
	s.pool, s.queries = pool, rows.New(pool)
	s.onTearDown(func(context.Context) error { pool.Close(); return nil })
	return nil
}

func (s *server) migrate(ctx context.Context) error { return db.Migrate(ctx, s.pool) }

func (s *server) claim(ctx context.Context) error {
	claimant, err := db.NewClaimant(ctx, s.config.DatabaseURL, s.log)
	if err != nil {
		return err
	}
	s.claimant = claimant
	s.background(claimant.Hold)
	return nil
}

// bootstrapTeam makes the default team and gives it the key that the
// installation was made with.
func (s *server) bootstrapTeam(ctx context.Context) error {
	team, err := s.queries.EnsureTeam(ctx, rows.EnsureTeamParams{ID: uuid.New(), Slug: defaultTeam, Name: "Default"})
	if err != nil {
		return fmt.Errorf("make team: %w", err)
	}
	if s.config.BootstrapAPIKeyFile == "" {
		return nil
	}
	content, err := os.ReadFile(s.config.BootstrapAPIKeyFile)
	if err != nil {
		return fmt.Errorf("WRENN_BOOTSTRAP_API_KEY_FILE: %w", err)
	}
	key := strings.TrimSpace(string(content))
	if !auth.IsKey(key) {
		return fmt.Errorf("WRENN_BOOTSTRAP_API_KEY_FILE: %s does not hold an API key", s.config.BootstrapAPIKeyFile)
	}
	mask := auth.MaskKey(key)
	_, err = s.queries.CreateAPIKey(ctx, rows.CreateAPIKeyParams{
		ID: uuid.New(), TeamID: team.ID, Name: "First key", KeyHash: auth.HashKey(key),
		KeyPrefix: mask.Prefix, ValueLength: int32(mask.ValueLength),
		MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
	})
	if err != nil {
		return fmt.Errorf("store first API key: %w", err)
	}
	return nil
}

func (s *server) buildServices(context.Context) error {
	if s.scheduler == nil {
		s.scheduler = scheduler.NewSpread(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))) //nolint:gosec // dice
	}
	s.placement = placement.New(s.pool, s.scheduler, s.log)
	s.templates = &templates.Service{Queries: s.queries, Hosts: s.fleet.SnapshotHost, Log: s.log}
	s.sandboxes = &sandboxes.Service{
		Pool: s.pool, Queries: s.queries, Templates: s.templates, Hosts: s.fleet, Placement: s.placement, Tokens: s.tokens,
		Claimant: s.claimant, Log: s.log, CheckNetwork: checkNetwork, MaxTimeout: s.config.MaxTimeout,
		AllowInsecure: s.config.AllowInsecureSandboxes,
	}
	s.volumes = &volumes.Service{Pool: s.pool, Hosts: s.fleet, Tokens: s.tokens, Log: s.log, DefaultMiB: orZero(s.config.VolumeMiB)}
	s.issuer = &fleet.TokenIssuer{Pool: s.pool, URL: s.publicURL(), Log: s.log}
	if s.host != nil {
		s.hostSync = &fleet.Sync{Pool: s.pool, Host: s.host, HostID: s.hostID, Sandboxes: s.sandboxes, Issuer: s.issuer, Log: s.log}
	}
	deletion := &teams.Deletion{Pool: s.pool, Sandboxes: s.sandboxes, Templates: s.templates, Volumes: s.volumes, FirstTeam: defaultTeam, Log: s.log}
	s.forwarder = proxy.NewForwarder(s.log)
	s.onTearDown(func(context.Context) error { s.forwarder.Close(); return nil })
	s.api = &api.Server{
		Sandboxes: s.sandboxes,
		Volumes:   s.volumes, TeamDeletion: deletion,
		Templates:   s.templates,
		TeamMetrics: &usage.Service{Queries: s.queries}, Healthy: s.pool.Ping,
		TokenIssuer: s.issuer,
		Domain:      s.config.Domain, Log: s.log,
	}
	return nil
}

// firstSync learns what the host has before the first request can ask for it. A
// host that is not up yet is followed from the background.
func (s *server) firstSync(ctx context.Context) error {
	if s.hostSync == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, firstSyncTimeout)
	defer cancel()
	err := s.hostSync.Sync(ctx)
	if code := fault.CodeOf(err); code == fault.Unavailable || code == fault.Timeout {
		s.log.Warn("the host agent is not up yet", "error", err)
		return nil
	}
	return err
}

func (s *server) startWork(context.Context) error {
	s.onTearDown(s.pauseAll)
	sampler := &usage.Sampler{Queries: s.queries, Sources: s.fleet.Samples, SweepSnapshots: s.templates.SweepSnapshots, Log: s.log}
	if s.hostSync != nil {
		s.background(s.hostSync.Run)
	}
	s.background(s.placement.Run, s.followers.Run, s.sandboxes.Reap, sampler.Run)
	return nil
}

func (s *server) pauseAll(ctx context.Context) error {
	if !s.config.PauseOnShutdown || s.host == nil {
		return nil
	}
	s.log.Info("pausing what runs")
	if err := s.sandboxes.PauseAll(ctx, s.hostID); err != nil {
		return fmt.Errorf("pause what runs: %w", err)
	}
	return nil
}

// listen opens the port. Until the server runs, clients wait.
func (s *server) listen(ctx context.Context) error {
	if s.listener == nil {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.Listen)
		if err != nil {
			return fmt.Errorf("WRENN_LISTEN: %w", err)
		}
		s.listener = listener
	}
	s.listener = httpserver.NewListener(s.listener, httpserver.Limits{
		PerAddress: s.config.MaxConnectionsPerAddress,
		Exempt:     func(address netip.Addr) bool { return address.IsLoopback() || s.api.Clients.Trusts(address) },
	})
	router := &proxy.Router{
		Domains:   proxy.NewDomains(s.config.Domain),
		Directory: s.queries, Resumer: s.sandboxes, Tokens: s.tokens, Forwarder: s.forwarder,
		Hosts: s.fleet, Clients: s.api.Clients, AdminToken: s.adminToken, Log: s.log,
	}
	content := &api.VolumeContent{Volumes: s.volumes, Log: s.log}
	handler := content.Before(s.api.Handler())
	if s.around != nil {
		handler = s.around(handler)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler: httpserver.Handler(router.Before(handler), httpserver.Options{Stall: bodyStall}), Protocols: protocols,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, ConnContext: httpserver.ConnContext,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.onTearDown(s.closeServer)
	return nil
}

func (s *server) serve(context.Context) error {
	go func() {
		defer close(s.served)
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serve: %w", err)
		}
	}()
	s.onTearDown(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		return s.api.Drain(ctx)
	})
	return nil
}

// closeServer ends the server, and by force the streams that do not end.
func (s *server) closeServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	// The server closes only a listener that it has served.
	if err := s.listener.Close(); err == nil {
		return nil
	}
	<-s.served
	return nil
}
