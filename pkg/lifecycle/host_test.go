package lifecycle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

func TestHostState_TakesOnlyTheStepsOfTheTable(t *testing.T) {
	t.Parallel()
	allowed := map[lifecycle.HostState]string{
		lifecycle.HostPending:     "ready draining retired",
		lifecycle.HostReady:       "draining unreachable retired",
		lifecycle.HostDraining:    "ready unreachable retired",
		lifecycle.HostUnreachable: "ready draining retired",
		lifecycle.HostRetired:     "",
	}
	for _, from := range lifecycle.HostStates {
		steps := ""
		for _, next := range lifecycle.HostStates {
			if from.CanBecome(next) {
				steps += " " + string(next)
			}
		}
		require.Equal(t, allowed[from], trimmed(steps), "from %s", from)
	}
}

func trimmed(text string) string {
	if text == "" {
		return ""
	}
	return text[1:]
}
