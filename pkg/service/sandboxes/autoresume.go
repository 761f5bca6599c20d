package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// leastResumedLifetime is how long a sandbox runs at least that traffic has
// brought back: nobody has said how long it is needed.
const leastResumedLifetime = 5 * time.Minute

// ResumeForTraffic makes a sandbox run that is Resumable, for as long as it
// was last asked to. Of many calls at once one resumes it and all wait for that.
func (s *Service) ResumeForTraffic(ctx context.Context, sandboxID string) (rows.Sandbox, error) {
	result := s.resumes.DoChan(sandboxID, func() (any, error) {
		// Others wait for this, too: it does not end with the first one's client.
		ctx, cancel := operation.Detach(ctx)
		defer cancel()
		return s.resumeForTraffic(ctx, sandboxID)
	})
	select {
	case <-ctx.Done():
		return rows.Sandbox{}, ctx.Err()
	case outcome := <-result:
		sandbox, _ := outcome.Val.(rows.Sandbox)
		return sandbox, outcome.Err
	}
}

func (s *Service) resumeForTraffic(ctx context.Context, sandboxID string) (rows.Sandbox, error) {
	sandbox, err := s.Queries.GetSandbox(ctx, sandboxID)
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Sandbox{}, notFound(sandboxID)
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("get sandbox %s: %w", sandboxID, err)
	}
	var running rows.Sandbox
	err = s.whenSettled(ctx, sandbox.TeamID, sandboxID, func(sandbox rows.Sandbox) (err error) {
		switch {
		case sandbox.State == lifecycle.Running:
			running = sandbox
		case sandbox.Resumable():
			lifetime := min(max(sandbox.Lifetime, leastResumedLifetime), s.MaxTimeout)
			running, err = s.resume(ctx, sandbox, ResumeRequest{TimeoutSeconds: int32(lifetime.Seconds())})
		default:
			err = wrongState(sandbox)
		}
		return err
	})
	return running, err
}
