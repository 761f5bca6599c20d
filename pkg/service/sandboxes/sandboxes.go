// Package sandboxes holds the rules of sandboxes: what may be done to one, by whom and
// when, and how the database and the hosts are kept in agreement.
//
// A sandbox changes state by compare and set in the database. No lock is held while a host
// works. The request that takes the first step of an operation does all of it; others
// wait until it is over and read the state again. What a host says of its own sandboxes
// is taken as true, and Reconcile changes the database to it.
package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// HostAgent is the part of a host agent that the service calls.
type HostAgent interface {
	CreateSandbox(ctx context.Context, creation host.Creation) (host.Sandbox, error)
	PrepareSize(ctx context.Context, buildID string, size host.Size, told func(text string)) error
	PauseSandbox(ctx context.Context, sandboxID string, wanted sandbox.Pause) (host.Sandbox, error)
	ResumeSandbox(ctx context.Context, sandboxID string, wanted host.Resumption) (host.Sandbox, error)
	KillSandbox(ctx context.Context, sandboxID string) error
	SnapshotSandbox(ctx context.Context, sandboxID, buildID string, withoutMemory bool) (host.Template, error)
	DeleteSnapshot(ctx context.Context, buildID string) error
	ForkSandbox(ctx context.Context, sandboxID string, forks []host.Fork) ([]host.ForkResult, error)
	UpdateNetwork(ctx context.Context, sandboxID string, network sandbox.Network, secrets sandbox.Secrets) error
	SetSecrets(ctx context.Context, sandboxID string, secrets sandbox.Secrets) error
	GetSandbox(ctx context.Context, sandboxID string) (host.Sandbox, error)
	ListSandboxes(ctx context.Context) ([]host.Sandbox, error)
}

// Hosts finds the agents of hosts. Where a host is unknown or cannot be reached, every
// method of what Agent returns fails with fault.Unavailable.
type Hosts interface {
	Agent(hostID uuid.UUID) HostAgent
}

// Volumes finds the volumes that sandboxes mount.
type Volumes interface {
	FindMounts(ctx context.Context, teamID uuid.UUID, wanted []sandbox.VolumeMount) ([]sandbox.VolumeMount, uuid.UUID, error)
}

// Claimant has the number by which this process claims sandboxes.
type Claimant interface{ ID() int32 }

// Service is the service of sandboxes.
type Service struct {
	pool      *pgxpool.Pool
	store     *store.Sandboxes
	keys      *idempotency.Keys // make creates safe to send again
	claimant  Claimant
	tokens    *auth.Tokens
	hosts     Hosts
	placement *placement.Service
	templates *templates.Service
	volumes   Volumes
	guard     Guard
	log       *slog.Logger
	options   Options

	resumes  singleflight.Group // by sandbox ID
	waiting  atomic.Int64       // operations that wait for others on their sandbox
	patience time.Duration      // in place of busyPatience, where it is not zero

	sizePatience time.Duration // in place of sizePatience, where it is not zero
}

// Options are what a Service can do without.
type Options struct {
	// MaxTimeout is the longest time to live that a client may ask for.
	MaxTimeout time.Duration
	// AllowInsecure lets clients create sandboxes whose guest agent asks for no token.
	AllowInsecure bool
	// CheckNetwork returns Invalid for what no host would take. Without it the host
	// refuses it later.
	CheckNetwork func(sandbox.Network) error
	// Secrets finds the secrets that networks refer to; nil refuses networks that do.
	Secrets SecretSource
}

// New makes a Service. claimant has the number by which this process claims sandboxes,
// placer finds the hosts of new sandboxes, and builds what they begin as. guard may
// refuse what a team asks for; AllowAll refuses nothing.
func New(
	pool *pgxpool.Pool, claimant Claimant, tokens *auth.Tokens, hosts Hosts, placer *placement.Service, builds *templates.Service,
	volumes Volumes, guard Guard, log *slog.Logger, options Options,
) *Service {
	stored := store.NewSandboxes(pool)
	return &Service{
		pool: pool, store: stored, keys: idempotency.New(pool, stored, claimant), claimant: claimant, tokens: tokens,
		hosts: hosts, placement: placer, templates: builds, volumes: volumes, guard: guard, log: log, options: options,
	}
}

// Credentials open one sandbox.
type Credentials struct {
	// EnvdAccess is empty where the sandbox's guest agent asks for no token.
	EnvdAccess string
	// TrafficAccess is empty where the sandbox's ports are public.
	TrafficAccess string
}

// Credentials derives a sandbox's credentials as they are now.
func (s *Service) Credentials(ctx context.Context, of sandbox.Sandbox) (Credentials, error) {
	_, epochs, err := s.store.GetWithEpochs(ctx, of.ID)
	if err != nil {
		return Credentials{}, fmt.Errorf("get the token epochs of sandbox %s: %w", of.ID, err)
	}
	var credentials Credentials
	if of.Secure {
		credentials.EnvdAccess = s.tokens.EnvdAccess(of.ID, epochs)
	}
	if !of.Network.Public() {
		credentials.TrafficAccess = s.tokens.TrafficAccess(of.ID, epochs)
	}
	return credentials, nil
}

// Get returns a team's sandbox.
func (s *Service) Get(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error) {
	found, err := s.getEver(ctx, teamID, sandboxID)
	if err == nil && !found.State.Visible() {
		return sandbox.Sandbox{}, notFound(sandboxID)
	}
	return found, err
}

// getEver returns a team's sandbox, also one that is over.
func (s *Service) getEver(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error) {
	if !id.IsSandbox(sandboxID) {
		return sandbox.Sandbox{}, notFound(sandboxID)
	}
	found, err := s.store.Get(ctx, sandboxID)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.TeamID != teamID {
		return sandbox.Sandbox{}, notFound(sandboxID)
	}
	return found, err
}

// logger returns a logger for what is done with a sandbox.
func (s *Service) logger(of sandbox.Sandbox) *slog.Logger {
	return s.log.With("sandbox", of.ID, "team", of.TeamID)
}
