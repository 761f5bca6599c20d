package up

import (
	"bufio"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// holdLifeline starts a child that holds the lifeline open, as all of Wrenn's
// children do, and closes this process's own hold on it: as if the parent had
// been killed.
func holdLifeline(t *testing.T, l Layout) *exec.Cmd {
	t.Helper()
	lifeline, err := l.takeLifeline(t.Context(), func(string) {})
	require.NoError(t, err)
	child := exec.Command("sh", "-c", "echo ready; read line") // until it is killed
	child.ExtraFiles = []*os.File{lifeline}
	_, err = child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	_, err = bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, lifeline.Close())
	return child
}

func TestTakeLifeline_WaitsForChildrenOfAKilledParent(t *testing.T) {
	t.Parallel()
	l := layout(t)
	require.NoError(t, os.MkdirAll(l.run(), 0o755))
	child := holdLifeline(t, l)
	waiting := make(chan string, 1)
	var taking sync.WaitGroup
	taking.Go(func() {
		lifeline, err := l.takeLifeline(t.Context(), func(line string) { waiting <- line })
		if err != nil {
			t.Errorf("take lifeline: %v", err)
			return
		}
		lifeline.Close()
	})
	require.Contains(t, <-waiting, "earlier, killed wrenn up")
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	taking.Wait()
}

func TestKillHolders_KillsOnlyProcessesThatHoldTheLifeline(t *testing.T) {
	t.Parallel()
	l, other := layout(t), layout(t)
	for _, each := range []Layout{l, other} {
		require.NoError(t, os.MkdirAll(each.run(), 0o755))
	}
	child, bystander := holdLifeline(t, l), holdLifeline(t, other)
	require.NoError(t, killHolders(l.lifeline()))
	require.EqualError(t, child.Wait(), "signal: killed")
	lifeline, err := l.takeLifeline(t.Context(), func(string) {})
	require.NoError(t, err)
	require.NoError(t, lifeline.Close())

	_, err = lockFile(other.lifeline())
	require.ErrorIs(t, err, errLocked)
	require.NoError(t, bystander.Process.Kill())
	require.Error(t, bystander.Wait())
}
