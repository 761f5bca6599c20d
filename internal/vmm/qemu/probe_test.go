package qemu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func TestProbeCommand_DiesWithWhoStartedIt(t *testing.T) {
	t.Parallel()
	command := probeCommand(t.Context(), "/bin/sleep", vmm.Boot{})
	command.Args = []string{"sleep", "300"}
	require.NoError(t, thread.Run(command.Start)) // the thread has ended
	require.ErrorContains(t, command.Wait(), "signal: killed")
}
