package sandboxes

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// leastResumedLifetime is the least time that a sandbox runs which traffic has resumed:
// a request names none.
const leastResumedLifetime = 5 * time.Minute

// ResumeForTraffic resumes a sandbox that is Resumable, for the time that it was last
// asked to run. Of concurrent calls one resumes it and the others wait.
func (s *Service) ResumeForTraffic(ctx context.Context, sandboxID string) (sandbox.Sandbox, error) {
	result := s.resumes.DoChan(sandboxID, func() (any, error) {
		// It must not end with the first of the clients that wait for it.
		ctx, cancel := operation.Detach(ctx)
		defer cancel()
		return s.resumeForTraffic(ctx, sandboxID)
	})
	select {
	case <-ctx.Done():
		return sandbox.Sandbox{}, ctx.Err()
	case outcome := <-result:
		running, _ := outcome.Val.(sandbox.Sandbox)
		return running, outcome.Err
	}
}

func (s *Service) resumeForTraffic(ctx context.Context, sandboxID string) (running sandbox.Sandbox, err error) {
	asked, err := s.store.Get(ctx, sandboxID)
	if errors.Is(err, store.ErrNotFound) {
		return sandbox.Sandbox{}, notFound(sandboxID)
	}
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	err = s.whenSettled(ctx, asked.TeamID, sandboxID, func(found sandbox.Sandbox) (err error) {
		switch {
		case found.State == sandbox.Running:
			running = found
		case found.Resumable():
			lifetime := min(max(found.Lifecycle.Timeout, leastResumedLifetime), s.options.MaxTimeout)
			running, err = s.resume(ctx, found, ResumeRequest{TimeoutSeconds: int32(lifetime.Seconds())})
		default:
			err = wrongState(found)
		}
		return err
	})
	return running, err
}
