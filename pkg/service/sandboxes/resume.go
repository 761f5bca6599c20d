package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// ResumeRequest is how a sandbox is to run again.
type ResumeRequest struct {
	TimeoutSeconds int32
	// AutoPause is what happens at its end; nil leaves that as it was.
	AutoPause *bool
	// WithoutMemory boots it from its disk. What its memory was stays on its host until
	// it is paused again.
	WithoutMemory bool
}

// Resume brings a paused sandbox back for a time. Of many at once one resumes it and
// the others wait for that; one that runs when the request comes is a Conflict.
func (s *Service) Resume(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted ResumeRequest) (rows.Sandbox, error) {
	if _, err := validate.Lifetime("timeout", wanted.TimeoutSeconds, s.MaxTimeout); err != nil {
		return rows.Sandbox{}, err
	}
	asked, err := s.Get(ctx, teamID, sandboxID)
	if err != nil {
		return rows.Sandbox{}, err
	}
	if asked.State == lifecycle.Running {
		return rows.Sandbox{}, wrongState(asked)
	}
	running, _, err := s.connect(ctx, teamID, sandboxID, wanted)
	return running, err
}

// Connect makes sure that a sandbox runs for at least a time. It says whether
// the sandbox had to be resumed.
func (s *Service) Connect(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted ResumeRequest) (rows.Sandbox, bool, error) {
	if _, err := validate.Timeout("timeout", wanted.TimeoutSeconds, s.MaxTimeout); err != nil {
		return rows.Sandbox{}, false, err
	}
	return s.connect(ctx, teamID, sandboxID, wanted)
}

func (s *Service) connect(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted ResumeRequest) (running rows.Sandbox, resumed bool, err error) {
	err = s.whenSettled(ctx, teamID, sandboxID, func(sandbox rows.Sandbox) (err error) {
		switch sandbox.State {
		case lifecycle.Running:
			running, err = s.extend(ctx, sandbox, time.Duration(wanted.TimeoutSeconds)*time.Second)
		case lifecycle.Paused:
			running, err = s.resume(ctx, sandbox, wanted)
			resumed = err == nil
		default:
			err = wrongState(sandbox)
		}
		return err
	})
	return running, resumed, err
}

// resume does not come back to a host that has refused: only the client knows
// whether that makes sense.
func (s *Service) resume(ctx context.Context, paused rows.Sandbox, wanted ResumeRequest) (rows.Sandbox, error) {
	lifetime, err := validate.Lifetime("timeout", wanted.TimeoutSeconds, s.MaxTimeout)
	if err != nil {
		return rows.Sandbox{}, err
	}
	if paused.GuestUnresponsive && !wanted.WithoutMemory {
		return rows.Sandbox{}, fault.New(fault.Conflict,
			"the guest agent of sandbox %s did not answer when it was paused; resume it with memory: false", paused.ID).
			Because(fault.GuestUnresponsiveAtPause)
	}
	if err := s.mayResume(ctx, paused, lifetime); err != nil {
		return rows.Sandbox{}, err
	}
	resuming, err := s.beginResume(ctx, paused)
	if err != nil {
		return rows.Sandbox{}, err
	}
	if wanted.AutoPause != nil {
		resuming.AutoPause = *wanted.AutoPause
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	identity := host.Identity{LifecycleID: uuid.NewString()}
	if resuming.WithoutMemory || wanted.WithoutMemory {
		identity.EnvVars = environment(resuming, nil) // used if the host's record, of an earlier version, has none
	}
	s.settleSecrets(ctx, resuming, "") // it has forgotten them
	seen, err := s.Hosts.Agent(resuming.HostID).ResumeSandbox(ctx, resuming.ID, identity, wanted.WithoutMemory)
	if err != nil {
		after, err := s.afterFailure(ctx, resuming, err)
		if after.State == lifecycle.Running {
			return s.extended(ctx, after, lifetime)
		}
		return rows.Sandbox{}, err
	}
	running, err := s.startRunning(ctx, resuming, seen, lifetime)
	return running, s.overtaken(ctx, resuming, err)
}

func (s *Service) mayResume(ctx context.Context, paused rows.Sandbox, lifetime time.Duration) error {
	if s.Guard == nil {
		return nil
	}
	return s.Guard.BeforeResume(ctx, Resumption{TeamID: paused.TeamID, SandboxID: paused.ID, Needs: needsLike(paused), Lifetime: lifetime})
}
