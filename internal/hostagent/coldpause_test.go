package hostagent

import (
	"path/filepath"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// testDiskOnlyPause pauses a sandbox without memory, resumes it by booting, and then pauses
// it with memory.
func testDiskOnlyPause(t *testing.T, a *agentUnderTest, id string) {
	dataDir := a.config.DataDir
	// The kernel's own boot ID: the one that programs see changes with each resume.
	const readBootID = "sudo cat /run/wrenn/proc/sys/kernel/random/boot_id"
	boot := a.run(t, id, readBootID)
	sum := a.run(t, id, "head -c 8M /dev/urandom > /home/user/large; sha256sum < /home/user/large")
	a.run(t, id, "echo written > /home/user/unsynced; echo gone > /dev/shm/memory; sleep 600 >/dev/null 2>&1 & disown")
	for range 2 { // the second changes nothing
		paused, err := a.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id, WithoutMemory: true}))
		require.NoError(t, err)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, paused.Msg.GetSandbox().GetState())
	}
	require.Empty(t, memoriesOf(t, dataDir, id), "memory was kept")

	a.resume(t, id)
	require.Equal(t, "written", a.run(t, id, "cat /home/user/unsynced"))
	require.Equal(t, sum, a.run(t, id, "sha256sum < /home/user/large"))
	require.Equal(t, "no memory, no process", a.run(t, id, "pgrep -x sleep || test -e /dev/shm/memory || echo no memory, no process"))
	require.Equal(t, "hello", a.run(t, id, "echo $GREETING"), "it has the environment of its create")
	require.NotEqual(t, boot, a.run(t, id, readBootID), "it was booted")

	a.run(t, id, "echo kept > /dev/shm/memory")
	a.pause(t, id)
	a.resume(t, id)
	require.Equal(t, "kept", a.run(t, id, "cat /dev/shm/memory"))

	boot = a.run(t, id, "cat /proc/sys/kernel/random/boot_id; echo late > /home/user/late; sync")
	a.pause(t, id)
	before := memoriesOf(t, dataDir, id)
	require.Len(t, before, 1)
	_, err := a.ResumeSandbox(t.Context(), connect.NewRequest(&pb.ResumeSandboxRequest{
		SandboxId: id, WithoutMemory: true, Identity: &pb.Identity{LifecycleId: "cold"},
	}))
	require.NoError(t, err)
	require.Equal(t, "late, booted", a.run(t, id, "cat /home/user/late | tr -d '\\n'; test -e /dev/shm/memory || echo , booted"))
	require.NotContains(t, boot, a.run(t, id, "cat /proc/sys/kernel/random/boot_id"))
	require.Equal(t, before, memoriesOf(t, dataDir, id), "the memory is ignored and kept")
	a.pause(t, id)
	a.resume(t, id)
	require.Equal(t, "late", a.run(t, id, "cat /home/user/late"), "a sandbox that was booted is paused and resumed like any other")
	require.NotEqual(t, before, memoriesOf(t, dataDir, id))
}

func memoriesOf(t *testing.T, dataDir, id string) []string {
	t.Helper()
	memories, err := filepath.Glob(filepath.Join(dataDir, "storage", "sandboxes", id, "snapshot-*", "memory"))
	require.NoError(t, err)
	return memories
}
