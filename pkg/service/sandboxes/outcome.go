package sandboxes

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// unaskedLifetime is how long a sandbox runs that was found running though
// nobody was told so: enough for its owner to notice.
const unaskedLifetime = 5 * time.Minute

// afterFailure asks the host what became of a sandbox after an operation on it
// has failed, and records that. Where the host cannot say it leaves the sandbox
// to Reconcile. It returns the sandbox as it is now, if that is known, and what
// the client should hear.
func (s *Service) afterFailure(ctx context.Context, sandbox rows.Sandbox, failure error) (rows.Sandbox, error) {
	ctx, cancel := operation.Detach(ctx) // the operation's own time may be over
	defer cancel()
	seen, err := s.Hosts.Agent(sandbox.HostID).GetSandbox(ctx, sandbox.ID)
	switch {
	case fault.Is(err, fault.NotFound):
		seen = host.Sandbox{State: lifecycle.Killed, Reason: "ended on its host"}
	case err != nil || !seen.State.Settled():
		s.Log.Warn("outcome of an operation is not known yet", "sandbox", sandbox.ID, "state", sandbox.State, "error", failure)
		s.release(ctx, sandbox)
		if _, gone := s.Get(ctx, sandbox.TeamID, sandbox.ID); fault.Is(gone, fault.NotFound) {
			return rows.Sandbox{}, gone // killed meanwhile, which is why the operation failed
		}
		return rows.Sandbox{}, failure
	}
	now, err := s.accept(ctx, sandbox, seen)
	if err != nil {
		return rows.Sandbox{}, s.overtaken(ctx, sandbox, err)
	}
	switch {
	case now.State.Over():
		return now, notFound(sandbox.ID)
	case now.State == lifecycle.Broken:
		return now, wrongState(now)
	default:
		return now, failure
	}
}

// accept records what a host says about a sandbox.
func (s *Service) accept(ctx context.Context, sandbox rows.Sandbox, seen host.Sandbox) (rows.Sandbox, error) {
	if seen.State == lifecycle.Running {
		switch sandbox.State {
		case lifecycle.Resuming, lifecycle.Paused, lifecycle.Broken:
			return s.startRunning(ctx, sandbox, seen, unaskedLifetime)
		default:
		}
	}
	return s.transitionAs(ctx, sandbox, seen)
}

// overtaken turns the loss of a race at the end of an operation into what the
// client should hear: a kill hides the sandbox, anything else is a conflict.
func (s *Service) overtaken(ctx context.Context, sandbox rows.Sandbox, err error) error {
	if !errors.Is(err, operation.ErrOvertaken) {
		return err
	}
	now, err := s.Get(ctx, sandbox.TeamID, sandbox.ID)
	if err != nil {
		return err
	}
	return wrongState(now)
}
