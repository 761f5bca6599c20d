package choice

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/gvisor"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

func TestSummarise_IsWhatAnAgentRemembers(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	summary, err := Summarise(directory)
	require.NoError(t, err)
	require.Zero(t, summary)
	answer := Choice{Machine: "m", Accelerator: qemu.TCG, Reason: "it hung"}
	require.NoError(t, Write(Path(directory), answer))
	summary, err = Summarise(directory)
	require.NoError(t, err)
	require.Equal(t, Summary{Driver: qemu.Name, Accelerator: qemu.TCG, Reason: "it hung"}, summary)
	answer.Driver = gvisor.Name
	require.NoError(t, Write(Path(directory), answer))
	summary, err = Summarise(directory)
	require.NoError(t, err)
	require.Equal(t, Summary{Driver: gvisor.Name, Accelerator: gvisor.Accelerator}, summary)
	require.NoError(t, os.WriteFile(Path(directory), []byte("{"), 0o600))
	_, err = Summarise(directory)
	require.ErrorContains(t, err, "accelerator.json")
}
