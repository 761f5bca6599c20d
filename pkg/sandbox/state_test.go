package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStates_AreASoundTable(t *testing.T) {
	t.Parallel()
	require.NoError(t, table.Check())
	for from, steps := range transitions {
		require.NotEmpty(t, steps, from)
		for next := range steps {
			require.True(t, from.CanBecome(next), "%s to %s is lost in the table", from, next)
		}
	}
}

func TestStates_AreWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	for state, want := range map[State]struct{ settled, over, visible, ending bool }{
		Creating: {},
		Running:  {settled: true, visible: true},
		Pausing:  {visible: true},
		Paused:   {settled: true, visible: true},
		Resuming: {visible: true},
		Broken:   {settled: true, visible: true},
		Killing:  {ending: true},
		Killed:   {settled: true, over: true, ending: true},
		Failed:   {settled: true, over: true, ending: true},
	} {
		require.Equal(t, want.settled, state.Settled(), state)
		require.Equal(t, want.over, state.Over(), state)
		require.Equal(t, want.visible, state.Visible(), state)
		require.Equal(t, want.ending, state.Ending(), state)
	}
}

func TestFrom_IsTheTableReadBackwards(t *testing.T) {
	t.Parallel()
	require.Equal(t, []State{Running}, From(Pausing))
	require.Equal(t, []State{Paused}, From(Resuming))
	require.Empty(t, From(Creating))
}

func TestEndings_HaveEveryCause(t *testing.T) {
	t.Parallel()
	require.Len(t, endings, len(EndCauses()))
	for _, cause := range EndCauses() {
		require.True(t, cause.known(), cause)
	}
}
