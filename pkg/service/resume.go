package service

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// settlePoll is how often Connect looks whether an operation under way has ended.
const settlePoll = 20 * time.Millisecond

// Resume brings a paused sandbox back for a time. A nil autoPause leaves what
// happens at its end as it was.
func (s *Sandboxes) Resume(ctx context.Context, teamID uuid.UUID, sandboxID string, timeoutSeconds int32, autoPause *bool) (db.Sandbox, error) {
	lifetime, err := validate.Lifetime("timeout", timeoutSeconds, s.MaxTimeout)
	if err != nil {
		return db.Sandbox{}, err
	}
	if err := s.mayResume(ctx, teamID, sandboxID, lifetime); err != nil {
		return db.Sandbox{}, err
	}
	resuming, err := s.beginResume(ctx, teamID, sandboxID)
	if err != nil {
		return db.Sandbox{}, err
	}
	if autoPause != nil {
		resuming.AutoPause = *autoPause
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	identity := host.Identity{LifecycleID: uuid.NewString()}
	if resuming.WithoutMemory {
		identity.EnvVars = environment(resuming, nil) // a guest that boots remembers none
	}
	s.settleSecrets(ctx, resuming, "") // it has forgotten them
	seen, err := s.Hosts.Agent(resuming.HostID).ResumeSandbox(ctx, sandboxID, identity)
	if err != nil {
		after, err := s.afterFailure(ctx, resuming, err)
		if after.State == lifecycle.Running {
			return s.extend(ctx, after, lifetime)
		}
		return db.Sandbox{}, err
	}
	running, err := s.startRunning(ctx, resuming, seen, lifetime)
	return running, s.overtaken(ctx, resuming, err)
}

// mayResume asks whatever state the sandbox is in, which may be another one when
// the operation begins.
func (s *Sandboxes) mayResume(ctx context.Context, teamID uuid.UUID, sandboxID string, lifetime time.Duration) error {
	if s.Guard == nil {
		return nil
	}
	sandbox, err := s.Get(ctx, teamID, sandboxID)
	if err != nil {
		return err
	}
	return s.Guard.BeforeResume(ctx, Resumption{TeamID: teamID, SandboxID: sandboxID, Needs: needsLike(sandbox), Lifetime: lifetime})
}

// Connect makes sure that a sandbox runs for at least a time. It says whether
// the sandbox had to be resumed.
func (s *Sandboxes) Connect(ctx context.Context, teamID uuid.UUID, sandboxID string, timeoutSeconds int32) (db.Sandbox, bool, error) {
	lifetime, err := validate.Timeout("timeout", timeoutSeconds, s.MaxTimeout)
	if err != nil {
		return db.Sandbox{}, false, err
	}
	for {
		sandbox, err := s.awaitSettled(ctx, teamID, sandboxID)
		if err != nil {
			return db.Sandbox{}, false, err
		}
		switch sandbox.State {
		case lifecycle.Broken:
			return db.Sandbox{}, false, wrongState(sandbox)
		case lifecycle.Paused:
			sandbox, err = s.Resume(ctx, teamID, sandboxID, timeoutSeconds, nil)
			if fault.Is(err, fault.Conflict) {
				continue // somebody else was faster
			}
			return sandbox, true, err
		default:
		}
		sandbox, err = s.extend(ctx, sandbox, lifetime)
		if !fault.Is(err, fault.NotFound) {
			return sandbox, false, err
		}
	}
}

// awaitSettled waits until no operation on a sandbox is under way.
func (s *Sandboxes) awaitSettled(ctx context.Context, teamID uuid.UUID, sandboxID string) (db.Sandbox, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	poll := time.NewTicker(settlePoll)
	defer poll.Stop()
	for {
		sandbox, err := s.Get(ctx, teamID, sandboxID)
		if err != nil || sandbox.State.Settled() {
			return sandbox, err
		}
		select {
		case <-ctx.Done():
			return db.Sandbox{}, fault.Wrap(fault.Timeout, ctx.Err(), "sandbox %s is still %s", sandboxID, sandbox.State)
		case <-poll.C:
		}
	}
}
