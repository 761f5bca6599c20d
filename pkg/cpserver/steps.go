package cpserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/resources"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/route"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
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
	s.parts.OnStop("close the database", func(context.Context) error { pool.Close(); return nil })
	return nil
}

func (s *server) migrate(ctx context.Context) error { return db.Migrate(ctx, s.pool) }

func (s *server) claim(ctx context.Context) error {
	claimant, err := db.NewClaimant(ctx, s.config.DatabaseURL, s.log)
	if err != nil {
		return err
	}
	s.claimant = claimant
	s.parts.Background("hold the claim", claimant.Hold)
	return nil
}

// bootstrapTeam makes the default team and gives it the key that the
// installation was made with.
func (s *server) bootstrapTeam(ctx context.Context) error {
	team, err := identity.EnsureTeam(ctx, s.pool, defaultTeam, "Default")
	if err != nil {
		return err
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
	return identity.EnsureKey(ctx, s.pool, team.ID, key, "First key")
}

func (s *server) buildServices(context.Context) error {
	s.placement = placement.New(s.pool, s.scheduler, s.log)
	s.usage = usage.New(s.pool)
	s.templates = templates.New(s.pool, s.fleet.SnapshotHost, s.log)
	s.volumes = volumes.New(s.pool, s.fleet, s.tokens, orZero(s.config.VolumeMiB), s.log)
	stored := store.NewSandboxes(s.pool)
	s.sandboxes = &sandboxes.Service{
		Pool: s.pool, Store: stored, Templates: s.templates, Hosts: s.fleet, Placement: s.placement, Tokens: s.tokens,
		Keys: idempotency.New(s.pool, stored, s.claimant), Volumes: s.volumes, Claimant: s.claimant, Log: s.log, CheckNetwork: checkNetwork, MaxTimeout: s.config.MaxTimeout,
		AllowInsecure: s.config.AllowInsecureSandboxes,
	}
	s.issuer = &fleet.TokenIssuer{Pool: s.pool, URL: s.publicURL(), Log: s.log}
	if s.host != nil {
		s.hostSync = &fleet.Sync{Pool: s.pool, Host: s.host, HostID: s.hostID, Sandboxes: s.sandboxes, Issuer: s.issuer, Log: s.log}
	}
	deletion := teams.NewDeletion(s.pool, s.sandboxes, s.templates, s.volumes, defaultTeam, s.log)
	s.forwarder = forward.New(s.log)
	s.parts.OnStop("close connections to sandboxes", func(context.Context) error { s.forwarder.Close(); return nil })
	s.api = &api.Server{
		Sandboxes: s.sandboxes,
		Volumes:   s.volumes, TeamDeletion: deletion,
		Templates: s.templates, Snapshots: s.templates,
		TeamMetrics: s.usage, Healthy: s.pool.Ping,
		TokenIssuer: s.issuer,
		Access:      access.Control{Log: s.log}, Domain: s.config.Domain, Log: s.log,
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
	s.parts.OnStop("pause what runs", s.pauseAll)
	sampler := usage.NewSampler(store.NewSandboxes(s.pool), s.fleet.Samples, s.templates.SweepSnapshots, s.log)
	if s.hostSync != nil {
		s.parts.Background("follow the local host", s.hostSync.Run)
	}
	s.parts.Background("background work", s.placement.Run, s.followers.Run, s.sandboxes.Reap, sampler.Run)
	return nil
}

func (s *server) pauseAll(ctx context.Context) error {
	if !s.config.PauseOnShutdown || s.host == nil {
		return nil
	}
	s.log.Info("pausing what runs")
	return s.sandboxes.PauseAll(ctx, s.hostID)
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
		Exempt:     func(address netip.Addr) bool { return address.IsLoopback() || s.api.Access.Clients.Trusts(address) },
	})
	router := &route.Router{
		Domains:   route.NewDomains(s.config.Domain),
		Directory: s.sandboxes.Store, Resumer: s.sandboxes, Tokens: s.tokens, Forwarder: s.forwarder,
		Hosts: s.fleet, Clients: s.api.Access.Clients, AdminToken: s.adminToken, Log: s.log,
	}
	content := &resources.VolumeContent{Volumes: s.volumes, Log: s.log}
	handler := content.Before(s.api.Handler())
	if s.around != nil {
		handler = s.around(handler)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: httpserver.Handler(router.Before(handler), httpserver.Options{Stall: bodyStall}), Protocols: protocols,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, ConnContext: httpserver.ConnContext,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.parts.Serve("serve", func(ctx context.Context) error {
		select {
		case <-s.ready:
			return httpserver.Serve(ctx, server, s.listener, closeTimeout)
		case <-ctx.Done():
			return s.listener.Close()
		}
	})
	return nil
}

// serve lets the HTTP server answer. When the control plane stops, requests of the
// control API end first, while traffic to sandboxes goes on.
func (s *server) serve(context.Context) error {
	close(s.ready)
	s.parts.OnStop("wait for requests under way", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		return s.api.Drain(ctx)
	})
	return nil
}

func orZero(limit *int64) int64 {
	if limit == nil {
		return 0
	}
	return *limit
}
