package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// maxForks is how many sandboxes one call makes at most.
const maxForks = 100

// ForkResult is a sandbox that begins where another was, or why there is none.
type ForkResult struct {
	Sandbox rows.Sandbox
	Err     error
}

// Fork makes count sandboxes that begin where a running one is, which runs on. It
// fails as a whole only where no fork could be tried, or the client has left.
func (s *Service) Fork(ctx context.Context, teamID uuid.UUID, sandboxID string, count, timeoutSeconds int32) ([]ForkResult, error) {
	if count < 1 || count > maxForks {
		return nil, fault.New(fault.Invalid, "count must be from 1 to %d", maxForks)
	}
	lifetime, err := validate.Lifetime("timeout", timeoutSeconds, s.MaxTimeout)
	if err != nil {
		return nil, err
	}
	var results []ForkResult
	err = s.whenRunning(ctx, teamID, sandboxID, func(parent rows.Sandbox) (err error) {
		results, err = s.forkOrNothing(ctx, parent, int(count), lifetime)
		return err
	})
	return results, err
}

// forkOrNothing leaves nothing behind where it fails.
func (s *Service) forkOrNothing(ctx context.Context, parent rows.Sandbox, count int, lifetime time.Duration) ([]ForkResult, error) {
	if err := s.mayFork(ctx, parent, count, lifetime); err != nil {
		return nil, err
	}
	results, err := s.fork(ctx, parent, count, lifetime)
	if err == nil {
		err = ctx.Err() // sandboxes that nobody will hear of must not stay
	}
	if err != nil {
		for _, result := range results {
			if result.Sandbox.ID != "" {
				s.abandon(ctx, result.Sandbox)
			}
		}
		return nil, s.orOvertaken(ctx, parent, err)
	}
	s.logLine(ctx, parent.ID, "Forked", map[string]string{"count": fmt.Sprint(count)})
	return results, nil
}

func (s *Service) mayFork(ctx context.Context, parent rows.Sandbox, count int, lifetime time.Duration) error {
	if s.Guard == nil {
		return nil
	}
	return s.Guard.BeforeCreate(ctx, Creation{
		TeamID: parent.TeamID, TemplateID: parent.TemplateID, ForkedFrom: parent.ID, Count: count,
		Each: needsLike(parent), Lifetime: lifetime, Metadata: parent.Metadata,
	})
}

func needsLike(sandbox rows.Sandbox) scheduler.Resources {
	return scheduler.Resources{VCPUs: int64(sandbox.VCPUCount), MemoryMiB: int64(sandbox.MemoryMiB), DiskMiB: int64(sandbox.DiskMiB)}
}

// fork returns, with an error too, what has to be abandoned.
func (s *Service) fork(ctx context.Context, parent rows.Sandbox, count int, lifetime time.Duration) ([]ForkResult, error) {
	ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
	defer cancel()
	results := make([]ForkResult, count)
	var forks []host.Fork
	var placed []int // where in the results each of the forks belongs
	for i := range results {
		creating, err := s.placeFork(ctx, parent)
		if results[i] = (ForkResult{creating, err}); err != nil {
			continue
		}
		placed = append(placed, i)
		forks = append(forks, host.Fork{SandboxID: creating.ID, Identity: host.Identity{
			LifecycleID: uuid.NewString(), EnvVars: environment(creating, nil),
		}})
	}
	if len(forks) == 0 {
		return nil, results[0].Err
	}
	made, err := s.Hosts.Agent(parent.HostID).ForkSandbox(ctx, parent.ID, forks)
	if err != nil {
		return results, err
	}
	for n, fork := range made {
		i := placed[n]
		results[i] = s.finishFork(ctx, results[i].Sandbox, fork, lifetime)
	}
	return results, nil
}

// placeFork stores a sandbox that is like its parent but for who it is, where its
// parent is, within what the team may have and the host has room for.
func (s *Service) placeFork(ctx context.Context, parent rows.Sandbox) (creating rows.Sandbox, err error) {
	needs := needsLike(parent)
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		queries := rows.New(tx)
		if err := usage.Admit(ctx, queries, parent.TeamID, usage.Demand{Sandboxes: 1, Needs: needs, Creates: 1}); err != nil {
			return err
		}
		if err := placement.LockRoom(ctx, queries, parent.HostID, needs); errors.Is(err, scheduler.ErrTaken) {
			return placement.WhyNoRoom(ctx, queries, parent.HostID)
		} else if err != nil {
			return err
		}
		creating, err = s.insertFork(ctx, queries, parent)
		return err
	})
	if err != nil {
		return rows.Sandbox{}, err
	}
	return creating, nil
}

func (s *Service) insertFork(ctx context.Context, queries *rows.Queries, parent rows.Sandbox) (rows.Sandbox, error) {
	creating, err := queries.CreateSandbox(ctx, rows.CreateSandboxParams{
		ID: id.NewSandbox(), TeamID: parent.TeamID, HostID: parent.HostID,
		TemplateID: parent.TemplateID, Alias: parent.Alias, BuildID: parent.BuildID,
		State: lifecycle.Creating, Claimant: s.Claimant.ID(), EndAt: time.Now(), AutoPause: parent.AutoPause,
		AllowInternetAccess: parent.AllowInternetAccess, Network: parent.Network, Metadata: parent.Metadata,
		VCPUCount: parent.VCPUCount, MemoryMiB: parent.MemoryMiB, DiskMiB: parent.DiskMiB, EnvdVersion: parent.EnvdVersion,
		AutoPauseMemory: parent.AutoPauseMemory, AutoResume: parent.AutoResume, ForkedFrom: parent.ID,
		Secure: parent.Secure, IamTokens: parent.IamTokens,
	})
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("store a fork of sandbox %s: %w", parent.ID, err)
	}
	err = storeMounts(ctx, queries, &creating, parent.VolumeMounts)
	return creating, err
}

func (s *Service) finishFork(ctx context.Context, creating rows.Sandbox, fork host.ForkResult, lifetime time.Duration) ForkResult {
	if fork.Err != nil {
		s.Log.Error("fork a sandbox", "sandbox", creating.ID, "error", fork.Err)
		s.abandon(ctx, creating)
		return ForkResult{Err: notMade(fork.Err, "the fork could not be started on its host")}
	}
	running, err := s.startRunning(ctx, creating, fork.Sandbox, lifetime)
	if err != nil {
		s.Log.Error("record a fork", "sandbox", creating.ID, "error", err)
		s.abandon(ctx, creating)
		return ForkResult{Err: fault.Wrap(fault.Internal, err, "the fork could not be recorded")}
	}
	return ForkResult{Sandbox: running}
}
