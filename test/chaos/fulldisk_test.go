package chaos

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
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
	w := newWorker(a, &killer{agent: a, vmms: map[string]int{}}, workers, 1)
	running, err := w.create(ctx, a.build)
	require.NoError(t, err)
	paused, err := w.create(ctx, a.build)
	require.NoError(t, err)
	unlucky, err := w.create(ctx, a.build)
	require.NoError(t, err)
	dead, err := w.create(ctx, a.build)
	require.NoError(t, err)
	all := []*box{running, paused, unlucky, dead}
	for _, b := range all {
		require.NoError(t, w.write(ctx, b))
		require.NoError(t, w.verify(ctx, b))
	}
	require.NoError(t, w.pause(ctx, paused))

	filler, err := newFiller(filepath.Join(dataDir, "storage"))
	require.NoError(t, err)
	t.Cleanup(filler.giveBack)
	// A pause is refused and the sandbox runs on, unless the file system had
	// some blocks in reserve: then it counts, as will be seen.
	_, err = call(ctx, a.peace, a.PauseSandbox, &pb.PauseSandboxRequest{SandboxId: unlucky.id})
	if err != nil {
		require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
		require.NoError(t, w.verify(ctx, unlucky))
	}

	// What asks for room is refused and loses nothing.
	_, err = w.create(ctx, a.build)
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	_, err = call(ctx, a.peace, a.ResumeSandbox, &pb.ResumeSandboxRequest{SandboxId: paused.id, Identity: w.identity(paused.id)})
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	state, err := w.settled(ctx, paused.id)
	require.NoError(t, err)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, state)

	// A guest that writes on waits until there is room again.
	_, err = a.shell(ctx, running.id, "cd /home/user && nohup sh -c 'head -c 100M /dev/urandom > big && sync big && sha256sum big > sum' >/dev/null 2>&1 & echo begun")
	require.NoError(t, err)
	filler.untilStill(t, dataDir)
	// A VM that ends now leaves a disk for which there is no room, unless the file
	// system had some in reserve.
	require.NoError(t, w.killer.killOf(dead.id))
	requireState(t, a, dead.id, pb.SandboxState_SANDBOX_STATE_FAILED, pb.SandboxState_SANDBOX_STATE_PAUSED)
	// An agent starts all the same.
	a.signal(syscall.SIGKILL)
	requireState(t, a, dead.id, pb.SandboxState_SANDBOX_STATE_FAILED, pb.SandboxState_SANDBOX_STATE_PAUSED)
	requireState(t, a, paused.id, pb.SandboxState_SANDBOX_STATE_PAUSED)
	filler.giveBack()
	requireState(t, a, dead.id, pb.SandboxState_SANDBOX_STATE_PAUSED)
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

// requireState waits until a sandbox is in one of some states.
func requireState(t *testing.T, a *agent, id string, wanted ...pb.SandboxState) {
	t.Helper()
	var got pb.SandboxState
	require.Eventually(t, func() bool {
		answer, err := call(t.Context(), a.peace, a.GetSandbox, &pb.GetSandboxRequest{SandboxId: id})
		got = answer.GetSandbox().GetState()
		return err == nil && slices.Contains(wanted, got)
	}, 2*time.Minute, 50*time.Millisecond, "%s is %s", id, &got)
}

// filler is a file that takes all room there is, until it is removed.
type filler struct {
	path string
	file *os.File
	size int64
}

// newFiller takes what is free, and what was deleted lately and becomes free a
// moment later.
func newFiller(directory string) (*filler, error) {
	path := filepath.Join(directory, "filler")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	f := &filler{path: path, file: file}
	const enough = 5
	for barren := 0; barren < enough; <-time.After(100 * time.Millisecond) {
		barren++
		took, err := f.take()
		if err != nil {
			f.giveBack()
			return nil, err
		}
		if took {
			barren = 0
		}
	}
	return f, nil
}

// take takes what is free, and says whether anything was.
func (f *filler) take() (took bool, err error) {
	const smallest = 4096
	var status unix.Statfs_t
	if err := unix.Fstatfs(int(f.file.Fd()), &status); err != nil {
		return false, err
	}
	for step := max(smallest, int64(status.Bavail)*status.Bsize); step >= smallest; {
		err := unix.Fallocate(int(f.file.Fd()), 0, f.size, step)
		if errors.Is(err, unix.ENOSPC) {
			step /= 2
			continue
		}
		if err != nil {
			return took, err
		}
		f.size += step
		took = true
	}
	return took, nil
}

func (f *filler) giveBack() {
	_ = os.Remove(f.path)
	_ = f.file.Close()
}

// untilStill takes what becomes free until a guest stands still for want of it.
func (f *filler) untilStill(t *testing.T, dataDir string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		_, err := f.take()
		require.NoError(t, err)
		log, err := os.ReadFile(filepath.Join(dataDir, "agent.log"))
		require.NoError(t, err)
		if strings.Contains(string(log), "a sandbox stood still") {
			return
		}
		require.True(t, time.Now().Before(deadline), "a guest writes on though there is no room")
	}
}
