package templates_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

func (f fixture) limitSnapshots(t *testing.T, most int64) {
	t.Helper()
	require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, usage.Limits{MaxSnapshots: &most}))
}

func TestSnapshots_AreNoMoreThanTheTeamMayHave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	take := func(name string) error {
		_, err := f.Snapshot(t.Context(), f.Team, s.ID, templates.NewSnapshot{Name: name})
		return err
	}
	f.limitSnapshots(t, 2)
	require.NoError(t, take(""))
	require.NoError(t, take("saved"))
	for _, name := range []string{"", "saved", "saved:v2", "other"} {
		err := take(name)
		require.Equal(t, fault.RateLimited, fault.CodeOf(err), "%q: %v", name, err)
		require.Equal(t, fault.TeamLimit, fault.ReasonOf(err))
		require.EqualError(t, err, "the team has 2 snapshots, which is the most")
	}
	require.NoError(t, f.Templates.DeleteSnapshot(t.Context(), f.Team, "saved"))
	require.NoError(t, take("saved"), "a deletion makes room")
	f.limitSnapshots(t, 3)
	require.NoError(t, take("saved"))
	require.Error(t, take("saved"), "each snapshot of one name counts")
}

func TestSnapshots_ThatAreTakenAtOnceAreNoMoreThanTheTeamMayHave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.limitSnapshots(t, 3)
	first, second := f.Start(t), f.Start(t)
	var taken atomic.Int32
	var running sync.WaitGroup
	for range 4 {
		for _, s := range []string{first.ID, second.ID} {
			running.Go(func() {
				if _, err := f.Snapshot(context.Background(), f.Team, s, templates.NewSnapshot{}); err == nil {
					taken.Add(1)
				}
			})
		}
	}
	running.Wait()
	require.EqualValues(t, 3, taken.Load())
}
