package chaos

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
)

// TestFullDisk takes all room from under running and paused sandboxes, and
// gives it back.
func TestFullDisk(t *testing.T) {
	dataDir := newDataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir, "0")
	showLog(t, dataDir)
	ctx := t.Context()
	w := &worker{
		agent: a, killer: &killer{agent: a, vmms: map[string]int{}}, number: workers,
		random: rand.New(rand.NewPCG(1, 2)), counts: map[string]int{},
	}
	running, err := w.create(ctx, a.build)
	require.NoError(t, err)
	paused, err := w.create(ctx, a.build)
	require.NoError(t, err)
	unlucky, err := w.create(ctx, a.build)
	require.NoError(t, err)
	all := []*box{running, paused, unlucky}
	for _, b := range all {
		require.NoError(t, w.write(ctx, b))
		require.NoError(t, w.verify(ctx, b))
	}
	require.NoError(t, w.pause(ctx, paused))

	giveBack := fill(t, filepath.Join(dataDir, "storage"))
	// A pause is refused and the sandbox runs on, unless the file system had
	// some blocks in reserve: then it counts, as will be seen.
	_, err = call(ctx, a.PauseSandbox, &pb.PauseSandboxRequest{SandboxId: unlucky.id})
	if err != nil {
		require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
		require.NoError(t, w.verify(ctx, unlucky))
	}

	// What asks for room is refused and loses nothing.
	_, err = w.create(ctx, a.build)
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	_, err = call(ctx, a.ResumeSandbox, &pb.ResumeSandboxRequest{SandboxId: paused.id, Identity: w.identity(paused.id)})
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	state, err := w.settled(ctx, paused.id)
	require.NoError(t, err)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, state)

	// A guest that writes on waits until there is room again.
	_, err = a.shell(ctx, running.id, "cd /home/user && nohup sh -c 'head -c 100M /dev/urandom > big && sync big && sha256sum big > sum' >/dev/null 2>&1 & echo begun")
	require.NoError(t, err)
	requireFull(t, filepath.Join(dataDir, "storage"))
	giveBack()
	output, err := w.shell(ctx, running, "cd /home/user; until [ -s sum ]; do sleep 0.1; done; sha256sum -c sum")
	require.NoError(t, err)
	require.Equal(t, "big: OK", output)

	// Then all goes on.
	require.NoError(t, w.verify(ctx, running))
	require.NoError(t, w.pause(ctx, running))
	for _, b := range all {
		require.NoError(t, w.verify(ctx, b))
		require.NoError(t, w.kill(ctx, b.id))
	}
	requireNothingLeft(t, a, before)
}

// fill takes all room there is, until the returned function is called.
func fill(t *testing.T, directory string) (giveBack func()) {
	t.Helper()
	path := filepath.Join(directory, "filler")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	// What was deleted lately becomes free a moment later.
	const smallest, enough = 4096, 5
	var size int64
	for barren := 0; barren < enough; <-time.After(100 * time.Millisecond) {
		barren++
		for step := max(smallest, free(t, directory)); step >= smallest; {
			err := unix.Fallocate(int(file.Fd()), 0, size, step)
			if errors.Is(err, unix.ENOSPC) {
				step /= 2
				continue
			}
			require.NoError(t, err)
			size, barren = size+step, 0
		}
	}
	giveBack = func() { require.NoError(t, os.RemoveAll(path)) }
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return giveBack
}

func free(t *testing.T, directory string) int64 {
	t.Helper()
	var status unix.Statfs_t
	require.NoError(t, unix.Statfs(directory, &status))
	return int64(status.Bavail) * status.Bsize
}

func requireFull(t *testing.T, directory string) {
	t.Helper()
	require.Eventually(t, func() bool { return free(t, directory) < 1<<18 }, time.Minute, 20*time.Millisecond, "nobody takes the last room")
}
