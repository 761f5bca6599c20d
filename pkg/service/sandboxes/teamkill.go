package sandboxes

import (
	"context"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

const (
	teamKillsAtOnce = 8
	teamKillPage    = 100
)

// KillTeam kills all running sandboxes of a team, without asking the guard. It returns
// how many were killed and how many could not be.
func (s *Service) KillTeam(ctx context.Context, teamID uuid.UUID) (killed, failed int, err error) {
	if err := usage.RequireTeam(ctx, s.pool, teamID); err != nil {
		return 0, 0, err
	}
	var killedCount, failedCount atomic.Int64
	var kills errgroup.Group
	kills.SetLimit(teamKillsAtOnce)
	filter := Filter{States: []sandbox.State{sandbox.Running}, PageSize: teamKillPage}
	for {
		page, err := s.List(ctx, teamID, filter)
		if err != nil {
			_ = kills.Wait() // kills only count
			return int(killedCount.Load()), int(failedCount.Load()), err
		}
		for _, found := range page.Sandboxes {
			kills.Go(func() error {
				switch err := s.kill(ctx, found); {
				case err == nil:
					killedCount.Add(1)
				case !fault.Is(err, fault.NotFound): // that one has ended already
					failedCount.Add(1)
					s.logger(found).WarnContext(ctx, "kill a sandbox of a team", "error", err)
				}
				return nil
			})
		}
		if filter.PageToken = page.NextToken; filter.PageToken == "" {
			_ = kills.Wait()
			return int(killedCount.Load()), int(failedCount.Load()), nil
		}
	}
}

// RunningCounts returns how many sandboxes each team runs; those without are not in it.
func (s *Service) RunningCounts(ctx context.Context) (map[uuid.UUID]int64, error) {
	return s.store.CountRunningByTeam(ctx)
}
