package sandboxes

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// unaskedLifetime is how long a sandbox runs that was found running without a client
// that was told so: enough for its owner to notice.
const unaskedLifetime = 5 * time.Minute

// afterFailure asks the host what became of a sandbox after an operation on it has
// failed, and records that. Where the host cannot say it leaves the sandbox to
// Reconcile. It returns the sandbox as it is now, if that is known, and the error for
// the client.
func (s *Service) afterFailure(ctx context.Context, claimed sandbox.Sandbox, failure error) (sandbox.Sandbox, error) {
	ctx, cancel := operation.Detach(ctx) // the operation's own time may be over
	defer cancel()
	seen, err := s.hosts.Agent(claimed.HostID).GetSandbox(ctx, claimed.ID)
	switch {
	case fault.Is(err, fault.NotFound):
		seen = host.Sandbox{State: sandbox.Killed}
	case err != nil || !seen.State.Settled():
		s.logger(claimed).WarnContext(ctx, "outcome of an operation is not known yet", "state", claimed.State, "error", failure)
		s.release(ctx, claimed)
		if _, gone := s.Get(ctx, claimed.TeamID, claimed.ID); fault.Is(gone, fault.NotFound) {
			return sandbox.Sandbox{}, gone // killed meanwhile, which is why the operation failed
		}
		return sandbox.Sandbox{}, failure
	}
	now, err := s.accept(ctx, claimed, seen)
	if err != nil {
		return sandbox.Sandbox{}, s.overtaken(ctx, claimed, err)
	}
	switch {
	case now.State.Over():
		return now, notFound(claimed.ID)
	case now.State == sandbox.Broken:
		return now, wrongState(now)
	default:
		return now, failure
	}
}

// accept records what a host says about a sandbox.
func (s *Service) accept(ctx context.Context, read sandbox.Sandbox, seen host.Sandbox) (sandbox.Sandbox, error) {
	if seen.State == sandbox.Running {
		switch read.State {
		case sandbox.Resuming, sandbox.Paused, sandbox.Broken:
			return s.startRunning(ctx, read, seen, unaskedLifetime)
		default:
		}
	}
	return s.move(ctx, read, outcomeOf(seen))
}

// overtaken turns the loss of a race at the end of an operation into the error for the
// client: a kill hides the sandbox, anything else is a conflict.
func (s *Service) overtaken(ctx context.Context, read sandbox.Sandbox, err error) error {
	if !errors.Is(err, operation.ErrOvertaken) {
		return err
	}
	now, err := s.Get(ctx, read.TeamID, read.ID)
	if err != nil {
		return err
	}
	return wrongState(now)
}
