package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// maxForks is how many sandboxes one call makes at most.
const maxForks = 100

// ForkResult is a fork, or the error of one that does not run.
type ForkResult struct {
	Sandbox sandbox.Sandbox
	Err     error
}

// Fork creates count forks of a running sandbox, which runs on. It fails as a whole only
// where no fork could be tried, or the client has disconnected.
func (s *Service) Fork(ctx context.Context, teamID uuid.UUID, sandboxID string, count, timeoutSeconds int32) ([]ForkResult, error) {
	if count < 1 || count > maxForks {
		return nil, fault.New(fault.Invalid, "count must be from 1 to %d", maxForks)
	}
	lifetime, err := validate.Lifetime("timeout", timeoutSeconds, s.options.MaxTimeout)
	if err != nil {
		return nil, err
	}
	var results []ForkResult
	err = s.whenRunning(ctx, teamID, sandboxID, func(parent sandbox.Sandbox) (err error) {
		results, err = s.forkOrNothing(ctx, parent, int(count), lifetime)
		return err
	})
	return results, err
}

// forkOrNothing kills all forks where it fails.
func (s *Service) forkOrNothing(ctx context.Context, parent sandbox.Sandbox, count int, lifetime time.Duration) ([]ForkResult, error) {
	if err := s.mayFork(ctx, parent, count, lifetime); err != nil {
		return nil, err
	}
	results, err := s.fork(ctx, parent, count, lifetime)
	if err == nil {
		err = ctx.Err() // the client has disconnected and never learns of the forks
	}
	if err != nil {
		for _, result := range results {
			if result.Sandbox.ID != "" {
				s.abandon(ctx, result.Sandbox)
			}
		}
		return nil, s.orOvertaken(ctx, parent, err)
	}
	s.logLine(ctx, parent, "Forked", map[string]string{"count": fmt.Sprint(count)})
	return results, nil
}

func (s *Service) mayFork(ctx context.Context, parent sandbox.Sandbox, count int, lifetime time.Duration) error {
	if err := s.guard.BeforeFork(ctx, Forking{Parent: parent, Count: count, Lifetime: lifetime}); err != nil {
		return err
	}
	return s.guard.BeforeCreate(ctx, Creation{
		TeamID: parent.TeamID, TemplateID: parent.TemplateID, ForkedFrom: parent.ID, Count: count,
		Each: needsLike(parent), Lifetime: lifetime, Metadata: parent.Metadata,
	})
}

// fork returns what has to be abandoned, together with an error too.
func (s *Service) fork(ctx context.Context, parent sandbox.Sandbox, count int, lifetime time.Duration) ([]ForkResult, error) {
	ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
	defer cancel()
	results := make([]ForkResult, count)
	var forks []host.Fork
	var placed []int // the index in results of each of forks
	for i := range results {
		creating, err := s.placeFork(ctx, parent)
		if results[i] = (ForkResult{creating, err}); err != nil {
			continue
		}
		placed = append(placed, i)
		forks = append(forks, host.Fork{SandboxID: creating.ID, EnvVars: environment(creating, nil)})
	}
	if len(forks) == 0 {
		return nil, results[0].Err
	}
	made, err := s.hosts.Agent(parent.HostID).ForkSandbox(ctx, parent.ID, forks)
	if err != nil {
		return results, err
	}
	for n, fork := range made {
		i := placed[n]
		results[i] = s.finishFork(ctx, results[i].Sandbox, fork, lifetime)
	}
	return results, nil
}

// placeFork stores a fork on its parent's host, within the team's limits and the host's
// room.
func (s *Service) placeFork(ctx context.Context, parent sandbox.Sandbox) (creating sandbox.Sandbox, err error) {
	needs := needsLike(parent)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := usage.Admit(ctx, tx, parent.TeamID, usage.Demand{Sandboxes: 1, Needs: needs, Creates: 1}); err != nil {
			return err
		}
		if err := placement.LockRoom(ctx, tx, parent.HostID, needs); errors.Is(err, scheduler.ErrTaken) {
			return placement.WhyNoRoom(ctx, tx, parent.HostID)
		} else if err != nil {
			return err
		}
		if err := placement.RequireIsolation(ctx, tx, parent); err != nil {
			return err
		}
		creating, err = store.NewSandboxes(tx).Insert(ctx, s.forkOf(parent))
		return err
	})
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	return creating, nil
}

// forkOf returns a sandbox that is about to be created as a fork of another.
func (s *Service) forkOf(parent sandbox.Sandbox) sandbox.Sandbox {
	return sandbox.Sandbox{
		ID: id.NewSandbox(), TeamID: parent.TeamID, HostID: parent.HostID, ForkedFrom: parent.ID,
		TemplateID: parent.TemplateID, Alias: parent.Alias, BuildID: parent.BuildID,
		State: sandbox.Creating, Claimant: s.claimant.ID(), Lifecycle: parent.Lifecycle, Network: parent.Network,
		VCPUCount: parent.VCPUCount, MemoryMiB: parent.MemoryMiB, DiskMiB: parent.DiskMiB, EnvdVersion: parent.EnvdVersion,
		Metadata: parent.Metadata, IdentityTokens: parent.IdentityTokens, VolumeMounts: parent.VolumeMounts, Isolation: parent.Isolation, Secure: parent.Secure,
	}
}

func (s *Service) finishFork(ctx context.Context, creating sandbox.Sandbox, fork host.ForkResult, lifetime time.Duration) ForkResult {
	if fork.Err != nil {
		s.logger(creating).ErrorContext(ctx, "fork a sandbox", "error", fork.Err)
		s.abandon(ctx, creating)
		return ForkResult{Err: notMade(fork.Err, "the fork could not be started on its host")}
	}
	running, err := s.startRunning(ctx, creating, fork.Sandbox, lifetime)
	if err != nil {
		s.logger(creating).ErrorContext(ctx, "record a fork", "error", err)
		s.abandon(ctx, creating)
		return ForkResult{Err: fault.Wrap(fault.Internal, err, "the fork could not be recorded")}
	}
	return ForkResult{Sandbox: running}
}
