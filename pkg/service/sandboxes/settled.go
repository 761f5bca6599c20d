package sandboxes

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// busyPatience is how long an operation waits for others on its sandbox: less than
	// the minute that clients wait for an answer.
	busyPatience = 45 * time.Second
	// firstLook is the delay before a sandbox is read again that another operation is
	// under way on, which may be another process's. It doubles up to longestLook.
	firstLook   = 10 * time.Millisecond
	longestLook = 200 * time.Millisecond
)

// whenSettled calls act with a team's sandbox as soon as no operation on it is under
// way, and again where act returns ErrOvertaken: another operation has begun first. It
// returns Busy when patience ends, and NotFound once the sandbox is killed.
func (s *Service) whenSettled(ctx context.Context, teamID uuid.UUID, sandboxID string, act func(sandbox.Sandbox) error) error {
	deadline, delay := time.Now().Add(s.patienceOrDefault()), firstLook
	waits := false
	defer func() {
		if waits {
			s.waiting.Add(-1)
		}
	}()
	for {
		found, err := s.Get(ctx, teamID, sandboxID)
		if err != nil {
			return err
		}
		if found.State.Settled() {
			if err := act(found); !errors.Is(err, operation.ErrOvertaken) {
				return err
			}
		}
		if time.Now().Add(delay).After(deadline) {
			return busy(found)
		}
		if !waits {
			waits = true
			s.waiting.Add(1)
		}
		if !wait.For(ctx, delay) {
			return ctx.Err()
		}
		delay = min(2*delay, longestLook)
	}
}

// whenRunning is whenSettled for what only a running sandbox can do.
func (s *Service) whenRunning(ctx context.Context, teamID uuid.UUID, sandboxID string, act func(sandbox.Sandbox) error) error {
	return s.whenSettled(ctx, teamID, sandboxID, func(found sandbox.Sandbox) error {
		if found.State != sandbox.Running {
			return wrongState(found)
		}
		return act(found)
	})
}

// orOvertaken turns a host's refusal of what a sandbox could do when it was read into
// ErrOvertaken where the sandbox has changed since: then that is why.
func (s *Service) orOvertaken(ctx context.Context, read sandbox.Sandbox, refusal error) error {
	switch fault.ReasonOf(refusal) {
	case fault.WrongState, fault.Broken, fault.Killed, fault.MachineEnded:
	default:
		return refusal
	}
	now, err := s.store.Get(ctx, read.ID)
	if err == nil && now.Version != read.Version {
		return operation.ErrOvertaken
	}
	return refusal
}

func (s *Service) patienceOrDefault() time.Duration {
	if s.patience > 0 {
		return s.patience
	}
	return busyPatience
}
