package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// ResumeRequest is how a sandbox is to be resumed.
type ResumeRequest struct {
	TimeoutSeconds int32
	// AutoPause replaces the sandbox's; nil leaves it.
	AutoPause *bool
	// WithoutMemory boots it from its disk. Its host keeps the memory until the next pause.
	WithoutMemory bool
}

// Resume resumes a paused sandbox for a time. Of concurrent calls one resumes it and the
// others wait. It returns Conflict for a sandbox that runs already.
func (s *Service) Resume(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted ResumeRequest) (sandbox.Sandbox, error) {
	if _, err := validate.Lifetime("timeout", wanted.TimeoutSeconds, s.options.MaxTimeout); err != nil {
		return sandbox.Sandbox{}, err
	}
	asked, err := s.Get(ctx, teamID, sandboxID)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	if asked.State == sandbox.Running {
		return sandbox.Sandbox{}, wrongState(asked)
	}
	running, _, err := s.connect(ctx, teamID, sandboxID, wanted)
	return running, err
}

// Connect extends the life of a running sandbox or resumes a paused one, so that it runs
// for at least a time. It reports whether the sandbox was resumed.
func (s *Service) Connect(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted ResumeRequest) (sandbox.Sandbox, bool, error) {
	if _, err := validate.Timeout("timeout", wanted.TimeoutSeconds, s.options.MaxTimeout); err != nil {
		return sandbox.Sandbox{}, false, err
	}
	return s.connect(ctx, teamID, sandboxID, wanted)
}

func (s *Service) connect(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted ResumeRequest) (running sandbox.Sandbox, resumed bool, err error) {
	err = s.whenSettled(ctx, teamID, sandboxID, func(found sandbox.Sandbox) (err error) {
		switch found.State {
		case sandbox.Running:
			running, err = s.store.ExtendEnd(ctx, found, time.Duration(wanted.TimeoutSeconds)*time.Second)
		case sandbox.Paused:
			running, err = s.resume(ctx, found, wanted)
			resumed = err == nil
		default:
			err = wrongState(found)
		}
		return err
	})
	return running, resumed, err
}

// resume asks the host once: only the client knows whether a second try makes sense.
func (s *Service) resume(ctx context.Context, paused sandbox.Sandbox, wanted ResumeRequest) (sandbox.Sandbox, error) {
	lifetime, err := validate.Lifetime("timeout", wanted.TimeoutSeconds, s.options.MaxTimeout)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	if paused.GuestUnresponsive && !wanted.WithoutMemory {
		return sandbox.Sandbox{}, fault.New(fault.Conflict,
			"the guest agent of sandbox %s did not answer when it was paused; resume it with memory: false", paused.ID).
			Because(fault.GuestUnresponsiveAtPause)
	}
	if err := s.guard.BeforeResume(ctx, Resumption{Sandbox: paused, Needs: needsLike(paused), Lifetime: lifetime}); err != nil {
		return sandbox.Sandbox{}, err
	}
	resuming, err := s.beginResume(ctx, paused)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	if wanted.AutoPause != nil {
		resuming.Lifecycle.AutoPause = *wanted.AutoPause
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	var envVars map[string]string
	if resuming.WithoutMemory || wanted.WithoutMemory {
		envVars = environment(resuming, nil) // used if the host's record, of an earlier version, has none
	}
	s.settleSecrets(ctx, resuming, "") // it has forgotten them
	seen, err := s.hosts.Agent(resuming.HostID).ResumeSandbox(ctx, resuming.ID, host.Resumption{
		WithoutMemory: wanted.WithoutMemory, EnvVars: envVars, Isolation: resuming.Isolation,
	})
	if err != nil {
		after, err := s.afterFailure(ctx, resuming, err)
		if after.State == sandbox.Running {
			return s.extended(ctx, after, lifetime)
		}
		return sandbox.Sandbox{}, err
	}
	running, err := s.startRunning(ctx, resuming, seen, lifetime)
	return running, s.overtaken(ctx, resuming, err)
}
