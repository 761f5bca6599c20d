package sandboxes

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// claim begins an operation on a sandbox as it was read. It returns ErrOvertaken where
// the sandbox is in another state by now.
func (s *Service) claim(ctx context.Context, read sandbox.Sandbox, next sandbox.State, cause sandbox.EndCause) (sandbox.Sandbox, error) {
	return s.store.Claim(ctx, read, next, cause, s.claimant.ID())
}

// move moves a sandbox as it was read to what it becomes.
func (s *Service) move(ctx context.Context, read sandbox.Sandbox, outcome store.Outcome) (sandbox.Sandbox, error) {
	moved, err := s.store.Move(ctx, read, outcome)
	if err == nil {
		s.logger(moved).InfoContext(ctx, "sandbox changed state", "from", read.State, "to", moved.State, "reason", moved.Reason)
	}
	return moved, err
}

// outcomeOf returns what a host's answer makes of a sandbox.
func outcomeOf(seen host.Sandbox) store.Outcome {
	outcome := store.Outcome{State: seen.State, Reason: seen.Reason, GuestUnresponsive: seen.GuestUnresponsive}
	if seen.State == sandbox.Killed {
		outcome.Cause = sandbox.CauseEndedOnHost
	}
	return outcome
}

// startRunning ends a create or a resume: the sandbox runs for lifetime, with the size
// that its host has given it.
func (s *Service) startRunning(ctx context.Context, read sandbox.Sandbox, seen host.Sandbox, lifetime time.Duration) (sandbox.Sandbox, error) {
	read.VCPUCount, read.MemoryMiB, read.DiskMiB, read.EnvdVersion = seen.VCPUCount, seen.MemoryMiB, seen.DiskMiB, seen.EnvdVersion
	running, err := s.store.Start(ctx, read, lifetime)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	s.logger(running).InfoContext(ctx, "sandbox changed state", "from", read.State, "to", running.State)
	s.settleSecrets(ctx, running, seen.SecretsRevision)
	return running, nil
}

// release leaves a claimed sandbox, whose outcome is not known, to Reconcile.
func (s *Service) release(ctx context.Context, claimed sandbox.Sandbox) {
	if err := s.store.Release(ctx, claimed); err != nil {
		s.logger(claimed).WarnContext(ctx, "release a sandbox's claim", "error", err)
	}
}
