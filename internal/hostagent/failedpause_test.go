package hostagent

import (
	"net/http"
	"os"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// testFailedPause lets pauses of every kind fail after the guest was stopped, because a file
// that they need is missing: the memory that a VM's is compared with; a sandbox of gVisor's
// is compared with none, but shares its image.
func testFailedPause(t *testing.T, a *agentUnderTest, id string) {
	a.run(t, id, "cd /tmp && nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & "+
		"(i=0; while :; do i=$((i+1)); echo $i >> /tmp/ticks; sleep 0.02; done) >/dev/null 2>&1 &")
	served := func() bool {
		client := &http.Client{Transport: toGuest{id, 8000, a.traffic.Transport}, Timeout: 5 * time.Second}
		response, err := client.Get("http://guest/")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	const patience, often = time.Minute, 50 * time.Millisecond
	require.Eventually(t, served, patience, often)
	needed := a.file("storage", "sandboxes", id, "memory")
	if a.hasLayers() {
		needed = a.file("storage", "sandboxes", id, "disk")
	}
	require.NoError(t, os.Rename(needed, needed+".away"))
	for name, pause := range map[string]func() error{
		"pause": func() error {
			_, err := a.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id}))
			return err
		},
		"snapshot": func() error {
			_, err := a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: "8d6c2f0e-51f4-4f4e-9f0f-6d2a3f2f8a10"}))
			return err
		},
	} {
		require.Error(t, pause(), name)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[id], name)
		ticks := a.run(t, id, "wc -l < /tmp/ticks")
		require.Eventually(t, func() bool { return a.run(t, id, "wc -l < /tmp/ticks") != ticks }, patience, often, "%s: what ran is not thawed", name)
		require.Eventually(t, served, patience, often, "%s: ports are not forwarded again", name)
	}
	require.NoError(t, os.Rename(needed+".away", needed))
	a.pause(t, id)
	a.resume(t, id)
}
