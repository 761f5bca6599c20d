package hostagent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

func TestStates_EachHasOneInTheProtocol(t *testing.T) {
	t.Parallel()
	require.Len(t, states, len(state.All()))
	for _, known := range state.All() {
		require.NotZero(t, states[known], "%s", known)
	}
}
