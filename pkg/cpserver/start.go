package cpserver

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/activity"
	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/extension"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/channels"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// defaultTeam is the slug of the installation's own team.
const defaultTeam = "default"

// start makes and starts the parts, each from those above it: the base, the ways to
// hosts, the services, the API and the HTTP server. Each part registers how it is
// stopped, and parts are stopped in reverse order.
func (o *options) start(ctx context.Context, steps *boot.Sequence) error {
	b, err := o.openBase(ctx, steps)
	if err != nil {
		return err
	}
	extensions, err := extension.New(b.Log, o.extensions...)
	if err != nil {
		return fmt.Errorf("start extensions: %w", err)
	}
	h, err := o.openHosts(ctx, steps, b)
	if err != nil {
		return err
	}
	s, err := o.newServices(ctx, steps, b, h, extensions)
	if err != nil {
		return err
	}
	return o.serve(ctx, steps, b, h, s, extensions)
}

// base is what all services need.
type base struct {
	Base
	version  string
	claimant *db.Claimant
	keys     *secretKeys
	// adminToken is what X-Admin-Token must be; empty if no such token is accepted.
	adminToken string
	mailer     mail.Mailer
	output     io.Writer // for the person who starts the server
}

func (o *options) openBase(ctx context.Context, steps *boot.Sequence) (*base, error) {
	configuration, log, err := o.configure()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	pool, err := boot.Make(ctx, steps, "open database", func(ctx context.Context) (*pgxpool.Pool, error) {
		return openDatabase(ctx, steps, configuration.DatabaseURL)
	})
	if err != nil {
		return nil, err
	}
	shared := Base{Pool: pool, Log: log, Config: configuration}
	claimant, err := boot.Make(ctx, steps, "claim a place among the control planes", func(ctx context.Context) (*db.Claimant, error) {
		return holdClaimant(ctx, steps, shared)
	})
	if err != nil {
		return nil, err
	}
	keys, err := boot.Make(ctx, steps, "read secret keys", func(context.Context) (*secretKeys, error) { return readSecretKeys(configuration) })
	if err != nil {
		return nil, err
	}
	adminToken, err := boot.Make(ctx, steps, "read the admin token", func(context.Context) (string, error) {
		return readSecretFile("WRENN_ADMIN_TOKEN_FILE", configuration.Identity.AdminTokenFile)
	})
	if err != nil {
		return nil, err
	}
	mailer, err := boot.Make(ctx, steps, "set up mail", func(ctx context.Context) (mail.Mailer, error) { return o.newMailer(ctx, shared) })
	if err != nil {
		return nil, err
	}
	err = steps.Step(ctx, "ensure the default team", func(ctx context.Context) error { return ensureDefaultTeam(ctx, shared) })
	if err != nil {
		return nil, err
	}
	return &base{Base: shared, version: o.version, claimant: claimant, keys: keys, adminToken: adminToken, mailer: mailer, output: o.output}, nil
}

// hosts are the ways to hosts, and the choice among them.
type hosts struct {
	agents *fleet.Agents
	// local is the host on this machine; nil if there is none.
	local     *localHost
	scheduler scheduler.Scheduler
	placement *placement.Service
}

// localHost is the host agent on the control plane's machine.
type localHost struct {
	id   uuid.UUID
	link *host.Link
}

func (o *options) openHosts(ctx context.Context, steps *boot.Sequence, b *base) (*hosts, error) {
	agents := &fleet.Agents{}
	local, err := boot.Make(ctx, steps, "register the local host", func(ctx context.Context) (*localHost, error) {
		return registerLocalHost(ctx, steps, b, agents)
	})
	if err != nil {
		return nil, err
	}
	chooser, err := boot.Make(ctx, steps, "set up the scheduler", func(ctx context.Context) (scheduler.Scheduler, error) {
		return o.newScheduler(ctx, b.Base)
	})
	if err != nil {
		return nil, err
	}
	return &hosts{agents: agents, local: local, scheduler: chooser, placement: placement.New(b.Pool, chooser, b.Log)}, nil
}

// services are what the API and extensions call.
type services struct {
	events    *events.Bus
	queue     *jobQueue
	templates *templates.Service
	builds    *builds.Service
	volumes   *volumes.Service
	secrets   *secrets.Service
	sandboxes *sandboxes.Service
	usage     *usage.Service
	identity  *identity.Service
	channels  *channels.Service
	audit     audit.Log
	// issuer gives hosts the keys of identity tokens.
	issuer    *fleet.TokenIssuer
	hosts     *fleet.Service
	followers *fleet.Followers
	// localSync follows the local host; nil if there is none.
	localSync *fleet.Sync
}

func (o *options) newServices(ctx context.Context, steps *boot.Sequence, b *base, h *hosts, extensions *extension.Set) (*services, error) {
	bus, err := boot.Make(ctx, steps, "follow events", func(ctx context.Context) (*events.Bus, error) { return openEvents(ctx, steps, b) })
	if err != nil {
		return nil, err
	}
	queue, err := boot.Make(ctx, steps, "open the job queue", func(context.Context) (*jobQueue, error) { return openJobQueue(b) })
	if err != nil {
		return nil, err
	}
	people, err := boot.Make(ctx, steps, "set up sign-in", func(context.Context) (*identity.Service, error) {
		return openIdentity(steps, b, o.providers)
	})
	if err != nil {
		return nil, err
	}
	known := templates.New(b.Pool, h.agents.SnapshotHost, b.Log)
	mounts := volumes.New(b.Pool, h.agents, b.keys.tokens, orZero(b.Config.VolumeMiB), b.Log)
	vault := secrets.New(b.Pool, b.keys.keyring, queue.client, b.Log)
	boxes := sandboxes.New(b.Pool, b.claimant, b.keys.tokens, h.agents, h.placement, known, mounts, extensions, b.Log, sandboxes.Options{
		MaxTimeout: b.Config.MaxTimeout, AllowInsecure: b.Config.AllowInsecureSandboxes, CheckNetwork: checkNetwork, Secrets: vault,
	})
	builder := builds.New(b.Pool, b.claimant, b.keys.tokens, b.keys.keyring, h.agents.BuildHost, h.placement, queue.client, extensions, b.Log)
	issuer := fleet.NewTokenIssuer(b.Pool, publicURL(b.Config), b.Log)
	joined, err := boot.Make(ctx, steps, "open the fleet", func(ctx context.Context) (*joinedHosts, error) {
		return openFleet(ctx, b, h, boxes, known, issuer)
	})
	if err != nil {
		return nil, err
	}
	err = steps.Step(ctx, "add workers to the job queue", func(context.Context) error { return queue.addWorkers(b, boxes, builder) })
	if err != nil {
		return nil, err
	}
	return &services{
		events: bus, queue: queue, templates: known, builds: builder, volumes: mounts, secrets: vault, sandboxes: boxes, usage: usage.New(b.Pool),
		identity: people, channels: channels.New(b.Pool, b.keys.keyring, queue.client), audit: audit.NewLog(b.Pool),
		issuer: issuer, hosts: joined.registry, followers: joined.followers, localSync: newLocalSync(b, h, boxes, known, issuer),
	}, nil
}

func newAPI(b *base, s *services, extensions *extension.Set) *api.Server {
	return &api.Server{
		Access: access.Control{
			Authenticator: auth.NewAuthenticator(b.Pool, b.adminToken), PublicURL: publicURL(b.Config), Audit: s.audit, Log: b.Log,
			Clients: access.Clients{TrustedProxies: b.Config.Identity.TrustedProxies},
		},
		Sandboxes: s.sandboxes, Snapshots: s.templates, Templates: s.templates, Builds: s.builds, TeamMetrics: s.usage, Usage: s.usage,
		Volumes: s.volumes, Secrets: s.secrets, Hosts: s.hosts, TokenIssuer: s.issuer,
		Keys:     secrets.NewKeys(b.Pool, b.keys.keyring),
		Identity: s.identity, APIKeys: keys.New(b.Pool), FirstTeam: defaultTeam,
		TeamDeletion: teams.NewDeletion(b.Pool, s.sandboxes, s.templates, s.volumes, defaultTeam, b.Log),
		TeamSettings: teams.NewSettings(b.Pool),
		Events:       &activity.Events{Log: events.NewLog(b.Pool), Bus: s.events}, Channels: s.channels, Audit: s.audit,
		Extensions: extensions, Healthy: b.Pool.Ping, Domain: b.Config.Domain, Log: b.Log,
	}
}

// serve starts what calls the services: extensions, background work, and last the HTTP
// server. When the control plane stops, requests of the API end first, then background
// work, then all sandboxes of this machine are paused, then traffic to them ends.
func (o *options) serve(ctx context.Context, steps *boot.Sequence, b *base, h *hosts, s *services, extensions *extension.Set) error {
	server := newAPI(b, s, extensions)
	steps.Background("follow the secret keys", newKeyFollower(b).run)
	steps.Background("notify channels", channels.NewDispatcher(b.Pool, s.events, s.queue.client, b.Log).Run)
	front := &front{ready: make(chan struct{})}
	err := steps.Start(ctx,
		boot.Step{Name: "start extensions", Do: func(ctx context.Context) error {
			return startExtensions(ctx, steps, extensions, b, h, s, server)
		}},
		boot.Step{Name: "start the job queue", Do: func(ctx context.Context) error {
			if err := s.queue.start(ctx, steps); err != nil {
				return err
			}
			steps.OnStop("give builds to other control planes", func(context.Context) error { s.builds.Stop(); return nil })
			return nil
		}},
		boot.Step{Name: "listen", Do: func(ctx context.Context) error { return o.listen(ctx, steps, front, b, h, s, server) }},
		boot.Step{Name: "adopt the local host's sandboxes", Do: func(ctx context.Context) error { return firstSync(ctx, b, s) }},
		boot.Step{Name: "start the work of extensions", Do: func(context.Context) error {
			extensions.Begin()
			steps.OnStop("end the work of extensions", func(ctx context.Context) error { extensions.End(ctx); return nil })
			return nil
		}},
		boot.Step{Name: "start background work", Do: func(context.Context) error { startWork(steps, b, h, s); return nil }},
		boot.Step{Name: "print the first admin's link", Do: func(ctx context.Context) error {
			return printFirstAdminLink(ctx, b.output, s.identity)
		}},
	)
	if err != nil {
		return err
	}
	close(front.ready)
	steps.OnStop("end requests under way", func(ctx context.Context) error {
		b.Log.InfoContext(ctx, "control plane is stopping")
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		return server.Drain(ctx)
	})
	b.Log.InfoContext(ctx, "control plane is ready", "address", front.listener.Addr().String(), "version", b.version)
	return nil
}

// startWork starts what runs as long as requests are served.
func startWork(steps *boot.Sequence, b *base, h *hosts, s *services) {
	if b.Config.PauseOnShutdown && h.local != nil {
		steps.OnStop("pause all sandboxes", func(ctx context.Context) error {
			b.Log.InfoContext(ctx, "pausing all sandboxes")
			return s.sandboxes.PauseAll(ctx, h.local.id)
		})
	}
	if s.localSync != nil {
		steps.Background("follow the local host", s.localSync.Run)
	}
	sampler := usage.NewSampler(store.NewSandboxes(b.Pool), h.agents.Samples, s.templates.SweepSnapshots, b.Log)
	retention := newRetention(b, s)
	steps.Background("background work", h.placement.Run, s.followers.Run, s.sandboxes.Reap, s.builds.Run, sampler.Run, retention.run)
}
