package sandboxes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// alive counts the stored sandboxes that are not over.
func (f fixture) alive(t *testing.T) int {
	t.Helper()
	var alive int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM sandboxes WHERE state NOT IN ('killed', 'failed')").Scan(&alive))
	return alive
}

func TestFork_ReturnsAnErrorForEachForkThatTheHostRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	parent := f.Start(t)
	var tried atomic.Int32
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "become a fork" && tried.Add(1) == 2 {
			return errors.New("no")
		}
		return nil
	})
	forks, err := f.Fork(t.Context(), f.Team, parent.ID, 3, 60)
	require.NoError(t, err)
	for i, fork := range forks {
		require.Equal(t, i == 1, fork.Err != nil, "fork %d: %v", i, fork.Err)
		require.Equal(t, i != 1, fork.Sandbox.State == sandbox.Running, "fork %d is %s", i, fork.Sandbox.State)
	}
	require.Len(t, f.Agent.States(), 3)
	require.Equal(t, 3, f.alive(t))
}

func TestFork_LeavesNothingWhereNoneCouldBeTried(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	parent := f.Start(t)
	for _, count := range []int32{-1, 0, 101} {
		_, err := f.Fork(t.Context(), f.Team, parent.ID, count, 60)
		require.True(t, fault.Is(err, fault.Invalid), "%d: %v", count, err)
	}
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "fork" {
			return errors.New("no")
		}
		return nil
	})
	_, err := f.Fork(t.Context(), f.Team, parent.ID, 5, 60)
	require.Error(t, err)
	f.Agent.Before(nil)
	require.Len(t, f.Agent.States(), 1)
	require.NoError(t, f.Pause(t.Context(), f.Team, parent.ID, sandbox.Pause{}))
	_, err = f.Fork(t.Context(), f.Team, parent.ID, 1, 60)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.Equal(t, 1, f.alive(t))
}

func TestFork_KeepsToTheTeamsLimits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	parent := f.Start(t)
	_, err := f.Pool.Exec(t.Context(), "INSERT INTO team_limits (team_id, max_sandboxes) VALUES ($1, 3)", f.Team)
	require.NoError(t, err)
	forks, err := f.Fork(t.Context(), f.Team, parent.ID, 4, 60)
	require.NoError(t, err)
	for i, fork := range forks {
		require.Equal(t, i >= 2, fault.Is(fork.Err, fault.RateLimited), "fork %d: %v", i, fork.Err)
	}
	require.Len(t, f.Agent.States(), 3)
	_, err = f.Fork(t.Context(), f.Team, parent.ID, 1, 60)
	require.True(t, fault.Is(err, fault.RateLimited), "none could be tried: %v", err)
}
