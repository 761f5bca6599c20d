package lifecycle

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHostState_TakesOnlyTheStepsOfTheTable(t *testing.T) {
	t.Parallel()
	require.NoError(t, hosts.Check())
	allowed := map[HostState]string{
		HostPending:     "ready draining retired",
		HostReady:       "draining unreachable retired",
		HostDraining:    "ready unreachable retired",
		HostUnreachable: "ready draining retired",
		HostRetired:     "",
	}
	for _, from := range HostStates() {
		var steps []string
		for _, next := range HostStates() {
			if from.CanBecome(next) {
				steps = append(steps, string(next))
			}
		}
		require.Equal(t, allowed[from], strings.Join(steps, " "), "from %s", from)
	}
}
