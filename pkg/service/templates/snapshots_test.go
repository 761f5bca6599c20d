package templates_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

func TestTakeSnapshot_LeavesNothingWhenTheHostFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "snapshot" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("full"))
		}
		return nil
	})
	_, err := f.Snapshot(t.Context(), f.Team, s.ID, templates.NewSnapshot{Name: "mine"})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err), "%v", err)
	f.Agent.Before(nil)
	var rows int
	require.NoError(t, f.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM templates WHERE snapshot_of IS NOT NULL)
		+ (SELECT count(*) FROM template_aliases WHERE alias = 'mine')`).Scan(&rows))
	require.Zero(t, rows)
}

func TestTakeSnapshot_OfOneNameAtOnceIsDoneOrRefusedAsAConflict(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	const clients = 8
	failures := make([]error, clients)
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			_, failures[i] = f.Snapshot(context.Background(), f.Team, s.ID, templates.NewSnapshot{Name: "mine"})
		})
	}
	running.Wait()
	taken := 0
	for _, err := range failures {
		if err == nil {
			taken++
			continue
		}
		require.Equal(t, fault.Conflict, fault.CodeOf(err), "%v", err)
	}
	require.Positive(t, taken)
	var snapshots int
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT count(*) FROM templates WHERE snapshot_of IS NOT NULL").Scan(&snapshots))
	require.Equal(t, 1, snapshots)
}
