// Package sandboxes holds the rules of sandboxes: what may be done to one, by whom and
// when, and how the database and the hosts are kept in agreement.
//
// A sandbox changes state by compare and set in the database, never under a lock
// that is held while a host works. The request that wins the first step of an
// operation does it; the others wait until it is over and read the state again. What
// a host says of its own sandboxes is true, and Reconcile brings the database to it.
package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// HostAgent is what the service asks of a host.
type HostAgent interface {
	CreateSandbox(ctx context.Context, creation host.Creation) (host.Sandbox, error)
	PauseSandbox(ctx context.Context, sandboxID string, wanted host.Pause) (host.Sandbox, error)
	ResumeSandbox(ctx context.Context, sandboxID string, identity host.Identity, withoutMemory bool) (host.Sandbox, error)
	KillSandbox(ctx context.Context, sandboxID string) error
	SnapshotSandbox(ctx context.Context, sandboxID, buildID string, withoutMemory bool) (host.Template, error)
	DeleteSnapshot(ctx context.Context, buildID string) error
	ForkSandbox(ctx context.Context, sandboxID string, forks []host.Fork) ([]host.ForkResult, error)
	UpdateNetwork(ctx context.Context, sandboxID string, network host.Network, secrets host.Secrets) error
	SetSecrets(ctx context.Context, sandboxID string, secrets host.Secrets) error
	GetSandbox(ctx context.Context, sandboxID string) (host.Sandbox, error)
	ListSandboxes(ctx context.Context) ([]host.Sandbox, error)
}

// Hosts finds the agent of a host. Where the host is not known or away, what
// Agent returns answers fault.Unavailable to everything.
type Hosts interface {
	Agent(hostID uuid.UUID) HostAgent
}

// Claimant is the sign of life under which this process claims sandboxes.
type Claimant interface{ ID() int32 }

// Sandboxes is the service of sandboxes.
type Service struct {
	Queries *rows.Queries
	Hosts   Hosts
	Pool    *pgxpool.Pool
	// Templates finds what new sandboxes begin as, and takes snapshots.
	Templates *templates.Service
	// Placement finds the hosts of new sandboxes.
	Placement *placement.Service
	Tokens    *auth.Tokens
	Claimant  Claimant
	Log       *slog.Logger
	// CheckNetwork answers Invalid for what no host would take. Without it that is
	// found out by the host.
	CheckNetwork func(host.Network) error
	// MaxTimeout is the longest time to live that a client may ask for.
	MaxTimeout time.Duration
	// AllowInsecure lets clients create sandboxes whose guest agent asks for no token.
	AllowInsecure bool
	// Secrets are what networks refer to; nil where nothing can be referred to.
	Secrets SecretSource
	// Guard may refuse what a team asks for; nil refuses nothing.
	Guard Guard

	resumes  singleflight.Group // by sandbox ID
	waiting  atomic.Int64       // operations that wait for others on their sandbox
	patience time.Duration      // in place of busyPatience, where it is not zero
}

// Credentials open one sandbox.
type Credentials struct {
	// EnvdAccess is empty where the sandbox's guest agent asks for no token.
	EnvdAccess string
	// TrafficAccess is empty where the sandbox's ports are public.
	TrafficAccess string
}

// Credentials derives a sandbox's credentials as they are now.
func (s *Service) Credentials(ctx context.Context, sandbox rows.Sandbox) (Credentials, error) {
	found, err := s.Queries.GetSandboxWithEpoch(ctx, sandbox.ID)
	if err != nil {
		return Credentials{}, fmt.Errorf("get the token epochs of sandbox %s: %w", sandbox.ID, err)
	}
	epochs := auth.Epochs{Team: found.TeamEpoch, Sandbox: found.Sandbox.TokenEpoch}
	var credentials Credentials
	if sandbox.Secure {
		credentials.EnvdAccess = s.Tokens.EnvdAccess(sandbox.ID, epochs)
	}
	if !sandbox.Network.Public() {
		credentials.TrafficAccess = s.Tokens.TrafficAccess(sandbox.ID, epochs)
	}
	return credentials, nil
}

// Get returns a team's sandbox.
func (s *Service) Get(ctx context.Context, teamID uuid.UUID, sandboxID string) (rows.Sandbox, error) {
	sandbox, err := s.getEver(ctx, teamID, sandboxID)
	if err == nil && !sandbox.State.Visible() {
		return rows.Sandbox{}, notFound(sandboxID)
	}
	return sandbox, err
}

// getEver returns a team's sandbox, also one that is over.
func (s *Service) getEver(ctx context.Context, teamID uuid.UUID, sandboxID string) (rows.Sandbox, error) {
	if !id.IsSandbox(sandboxID) {
		return rows.Sandbox{}, notFound(sandboxID)
	}
	sandbox, err := s.Queries.GetSandbox(ctx, sandboxID)
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Sandbox{}, notFound(sandboxID)
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("get sandbox %s: %w", sandboxID, err)
	}
	if sandbox.TeamID != teamID {
		return rows.Sandbox{}, notFound(sandboxID)
	}
	return sandbox, nil
}

// begin claims a sandbox for an operation by moving it from the state in which it was
// read into the operation's own. It answers errOvertaken where it is in another one.
func (s *Service) begin(ctx context.Context, sandbox rows.Sandbox, next lifecycle.State) (rows.Sandbox, error) {
	claimed, err := s.Queries.BeginTransition(ctx, rows.BeginTransitionParams{
		ID: sandbox.ID, TeamID: sandbox.TeamID, NextState: next, Claimant: s.Claimant.ID(), FromStates: []string{string(sandbox.State)},
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Sandbox{}, operation.ErrOvertaken
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("begin to move sandbox %s to %s: %w", sandbox.ID, next, err)
	}
	return claimed, nil
}

// transition moves a sandbox as it was read to its next state.
func (s *Service) transition(ctx context.Context, sandbox rows.Sandbox, next lifecycle.State, reason string) (rows.Sandbox, error) {
	return s.transitionAs(ctx, sandbox, host.Sandbox{State: next, Reason: reason})
}

// transitionAs moves a sandbox to what its host says of it.
func (s *Service) transitionAs(ctx context.Context, sandbox rows.Sandbox, seen host.Sandbox) (rows.Sandbox, error) {
	next, reason := seen.State, seen.Reason
	if !sandbox.State.CanBecome(next) {
		return rows.Sandbox{}, fmt.Errorf("sandbox %s: no transition from %s to %s", sandbox.ID, sandbox.State, next)
	}
	moved, err := s.Queries.Transition(ctx, rows.TransitionParams{
		ID: sandbox.ID, Version: sandbox.Version, NextState: next, Reason: reason, GuestUnresponsive: seen.GuestUnresponsive,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Sandbox{}, operation.ErrOvertaken
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("move sandbox %s to %s: %w", sandbox.ID, next, err)
	}
	s.Log.Info("sandbox changed state", "sandbox", sandbox.ID, "from", sandbox.State, "to", next, "reason", reason)
	return moved, nil
}

// startRunning ends a create or a resume: the sandbox runs for lifetime.
func (s *Service) startRunning(ctx context.Context, sandbox rows.Sandbox, seen host.Sandbox, lifetime time.Duration) (rows.Sandbox, error) {
	moved, err := s.Queries.StartRunning(ctx, rows.StartRunningParams{
		ID: sandbox.ID, Version: sandbox.Version, Lifetime: lifetime, AutoPause: sandbox.AutoPause,
		VCPUCount: seen.VCPUCount, MemoryMiB: seen.MemoryMiB, DiskMiB: seen.DiskMiB, EnvdVersion: seen.EnvdVersion,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Sandbox{}, operation.ErrOvertaken
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("move sandbox %s to running: %w", sandbox.ID, err)
	}
	s.Log.Info("sandbox changed state", "sandbox", sandbox.ID, "from", sandbox.State, "to", lifecycle.Running)
	s.settleSecrets(ctx, moved, seen.SecretsRevision)
	return moved, nil
}

// release leaves a claimed sandbox, whose outcome is not known, to Reconcile.
func (s *Service) release(ctx context.Context, sandbox rows.Sandbox) {
	err := s.Queries.ReleaseClaim(ctx, rows.ReleaseClaimParams{ID: sandbox.ID, Version: sandbox.Version})
	if err != nil {
		s.Log.Warn("release a sandbox's claim", "sandbox", sandbox.ID, "error", err)
	}
}

func notFound(sandboxID string) error {
	if !id.IsPlausible(sandboxID) {
		return fault.New(fault.Invalid, "sandboxID is malformed")
	}
	return fault.New(fault.NotFound, "sandbox %q was not found", id.Shorten(sandboxID))
}

// wrongState says that a sandbox is in no state for what was asked.
func wrongState(sandbox rows.Sandbox) error {
	if sandbox.State == lifecycle.Broken {
		return fault.New(fault.Conflict, "sandbox %s has failed and cannot be used: %s", sandbox.ID, sandbox.Reason).Because(fault.Broken)
	}
	return fault.New(fault.Conflict, "sandbox %s is %s", sandbox.ID, sandbox.State).Because(fault.WrongState)
}

func texts(states []lifecycle.State) []string {
	result := make([]string, len(states))
	for i, state := range states {
		result[i] = string(state)
	}
	return result
}
