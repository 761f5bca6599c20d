package lifecycle_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

func TestCanBecome_AllowsTheseStepsAndNoOthers(t *testing.T) {
	t.Parallel()
	allowed := map[lifecycle.State][]lifecycle.State{
		lifecycle.Creating: {lifecycle.Running, lifecycle.Killing, lifecycle.Failed},
		lifecycle.Running:  {lifecycle.Pausing, lifecycle.Paused, lifecycle.Broken, lifecycle.Killing, lifecycle.Killed},
		lifecycle.Pausing:  {lifecycle.Running, lifecycle.Paused, lifecycle.Broken, lifecycle.Killing, lifecycle.Killed},
		lifecycle.Paused:   {lifecycle.Running, lifecycle.Resuming, lifecycle.Broken, lifecycle.Killing, lifecycle.Killed},
		lifecycle.Resuming: {lifecycle.Running, lifecycle.Paused, lifecycle.Broken, lifecycle.Killing, lifecycle.Killed},
		lifecycle.Broken:   {lifecycle.Running, lifecycle.Paused, lifecycle.Killing, lifecycle.Killed},
		lifecycle.Killing:  {lifecycle.Killed},
		lifecycle.Killed:   {},
		lifecycle.Failed:   {},
	}
	require.Len(t, allowed, len(lifecycle.States))
	for _, from := range lifecycle.States {
		for _, next := range lifecycle.States {
			require.Equal(t, slices.Contains(allowed[from], next), from.CanBecome(next), "%s to %s", from, next)
		}
	}
}

func TestStates_AreWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	for state, want := range map[lifecycle.State]struct{ settled, over, visible bool }{
		lifecycle.Creating: {},
		lifecycle.Running:  {settled: true, visible: true},
		lifecycle.Pausing:  {visible: true},
		lifecycle.Paused:   {settled: true, visible: true},
		lifecycle.Resuming: {visible: true},
		lifecycle.Broken:   {settled: true, visible: true},
		lifecycle.Killing:  {},
		lifecycle.Killed:   {settled: true, over: true},
		lifecycle.Failed:   {settled: true, over: true},
	} {
		require.Equal(t, want.settled, state.Settled(), state)
		require.Equal(t, want.over, state.Over(), state)
		require.Equal(t, want.visible, state.Visible(), state)
	}
}

func TestFrom_IsTheTableReadBackwards(t *testing.T) {
	t.Parallel()
	require.Equal(t, []lifecycle.State{lifecycle.Running}, lifecycle.From(lifecycle.Pausing))
	require.Equal(t, []lifecycle.State{lifecycle.Paused}, lifecycle.From(lifecycle.Resuming))
	require.Empty(t, lifecycle.From(lifecycle.Creating))
}
