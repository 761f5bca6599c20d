package hostagent

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

func TestReadChosen_IsWhatAnAgentRemembers(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	chosen, err := ReadChosen(directory)
	require.NoError(t, err)
	require.Zero(t, chosen)
	require.NoError(t, writeChoice(choicePath(directory), choice{Machine: "m", Accelerator: qemu.TCG, Reason: "it hung"}))
	chosen, err = ReadChosen(directory)
	require.NoError(t, err)
	require.Equal(t, Chosen{Driver: DriverQEMU, Accelerator: qemu.TCG, Reason: "it hung"}, chosen)
	require.NoError(t, os.WriteFile(choicePath(directory), []byte("{"), 0o600))
	_, err = ReadChosen(directory)
	require.ErrorContains(t, err, "accelerator.json")
}
