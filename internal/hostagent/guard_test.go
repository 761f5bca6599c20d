package hostagent

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// TestGuard lets one guest write while the host's disk is nearly full, beside a guest that
// does not write.
func TestGuard(t *testing.T) {
	dataDir := dataDir(t)
	const reserveMiB, leftMiB = 1024, 400
	a := startAgent(t, dataDir, func(c *Config) { c.Limits.DiskReserveMiB = reserveMiB })
	t.Cleanup(func() { a.abort(t) })
	const writer, calm = "iwriter0000000000001", "icalm000000000000002"
	for _, id := range []string{writer, calm} {
		require.NoError(t, a.create(t.Context(), id))
	}
	a.run(t, writer, "nohup sh -c 'while :; do head -c 8M /dev/urandom > /home/user/big; sync; echo $((n=n+1)) > /home/user/count; done' >/dev/null 2>&1 & echo")
	storage := filepath.Join(dataDir, "storage")

	filler := takeAllBut(t, storage, leftMiB)
	require.Eventually(t, func() bool { return a.standsStill(writer) }, 30*time.Second, 100*time.Millisecond, "a guest continues to write although the disk is nearly full")
	require.Equal(t, "calm", a.run(t, calm, "echo calm"))
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[writer])
	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool { return a.answers(writer) }, 30*time.Second, 100*time.Millisecond)
	before := a.run(t, writer, "cat /home/user/count")
	require.Eventually(t, func() bool { return a.run(t, writer, "cat /home/user/count") != before }, 30*time.Second, 100*time.Millisecond)

	filler = takeAllBut(t, storage, leftMiB)
	require.Eventually(t, func() bool { return a.standsStill(writer) }, 30*time.Second, 100*time.Millisecond)
	a.pause(t, writer) // a stopped guest can be paused
	_, err := a.ResumeSandbox(t.Context(), connect.NewRequest(&pb.ResumeSandboxRequest{SandboxId: writer, Identity: &pb.Identity{LifecycleId: "no"}}))
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err), "%v", err)
	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool { // deleted blocks become free with a delay
		_, free, err := disk.Usage(storage)
		return err == nil && free > 2*reserveMiB<<20
	}, 30*time.Second, 10*time.Millisecond)
	a.resume(t, writer)
	require.Equal(t, "goes on", a.run(t, writer, "echo goes on"))
	for _, id := range []string{writer, calm} {
		a.kill(t, id)
	}
	a.shutDown(t)
}

// answers reports whether a guest's agent answers within a second.
func (a *agentUnderTest) answers(id string) bool {
	client := &http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}, Timeout: time.Second}
	response, err := client.Get("http://guest/health")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusNoContent
}

// standsStill reports whether a guest's agent does not answer twice in a row.
func (a *agentUnderTest) standsStill(id string) bool {
	const times = 2
	for range times {
		if a.answers(id) {
			return false
		}
	}
	return true
}

// takeAllBut makes a file that leaves only leftMiB of the disk free.
func takeAllBut(t *testing.T, directory string, leftMiB uint64) (path string) {
	t.Helper()
	path = filepath.Join(directory, "filler")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	t.Cleanup(func() { _ = os.Remove(path) })
	_, free, err := disk.Usage(directory)
	require.NoError(t, err)
	require.NoError(t, unix.Fallocate(int(file.Fd()), 0, 0, int64(free-leftMiB<<20)))
	return path
}
