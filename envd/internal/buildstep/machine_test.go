package buildstep

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOthersThanAncestors_LeavesOutWhatHasStartedThisProcess(t *testing.T) {
	other := exec.Command("sleep", "60")
	require.NoError(t, other.Start())
	t.Cleanup(func() {
		require.NoError(t, other.Process.Kill())
		require.Error(t, other.Wait())
	})
	found, err := othersThanAncestors(os.Getpid())
	require.NoError(t, err)
	require.Contains(t, found, other.Process.Pid)
	for _, ancestor := range []int{os.Getpid(), os.Getppid(), 1} {
		require.NotContains(t, found, ancestor)
	}
}
