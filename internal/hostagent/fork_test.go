package hostagent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
)

// testForks forks a running sandbox, while a client receives the output of a command.
func testForks(t *testing.T, a *agentUnderTest, parent string) {
	const script = "echo parent > /home/user/who; exec 3<> <(:); i=0; until [ -e /tmp/enough ]; do i=$((i+1)); echo $i | tee -a /dev/shm/count; read -t 0.02 -u 3; done"
	processes := processconnect.NewProcessClient(a.envdOf(parent), "http://guest")
	stream, err := processes.Start(t.Context(), connect.NewRequest(&process.StartRequest{Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", script}}}))
	require.NoError(t, err)
	require.True(t, stream.Receive(), "%v", stream.Err())
	received := make(chan []string, 1)
	go func() {
		var output strings.Builder
		for stream.Receive() {
			output.Write(stream.Msg().GetEvent().GetData().GetStdout())
		}
		received <- strings.Fields(output.String())
	}()

	a.run(t, parent, "until [ -s /dev/shm/count ]; do sleep 0.01; done") // it has been started

	ids := []string{"ifork000000000000001", "ifork000000000000002"}
	var forks []*pb.Fork
	for _, id := range ids {
		a.killAfter(t, id)
		forks = append(forks, &pb.Fork{SandboxId: id, Identity: &pb.Identity{
			LifecycleId: id, EnvVars: map[string]string{"GREETING": "hello from " + id},
		}})
	}
	made, err := a.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{SandboxId: parent, Forks: forks}))
	require.NoError(t, err)
	require.Len(t, made.Msg.GetResults(), len(ids))
	draws := map[string]bool{}
	for i, id := range ids {
		result := made.Msg.GetResults()[i]
		require.Empty(t, result.GetError())
		require.Equal(t, id, result.GetSandbox().GetSandboxId())
		require.Equal(t, "parent hello from "+id+" once", a.run(t, id, "echo $(cat /home/user/who) $GREETING $GIVEN"))
		require.Equal(t, "sts.amazonaws.com", audienceOf(t, a.config.DataDir, id), "a fork has its parent's tokens")
		draws[a.run(t, id, "head -c 16 /dev/urandom | base64")] = true
		count := func() int {
			number, err := strconv.Atoi(a.run(t, id, "wc -l < /dev/shm/count"))
			require.NoError(t, err)
			return number
		}
		earlier := count()
		require.Eventually(t, func() bool { return count() > earlier }, 20*time.Second, 50*time.Millisecond, "the fork's program counts")
		a.run(t, id, "echo fork > /home/user/who")
	}
	draws[a.run(t, parent, "head -c 16 /dev/urandom | base64")] = true
	require.Len(t, draws, len(ids)+1, "every machine draws its own random numbers")
	require.Equal(t, "parent", a.run(t, parent, "cat /home/user/who"), "a fork's disk is its own")

	// A fork is paused and resumed although the snapshot that it was made from is deleted.
	a.pause(t, ids[0])
	a.resume(t, ids[0])
	require.Equal(t, "fork", a.run(t, ids[0], "cat /home/user/who"))
	for _, id := range ids {
		a.kill(t, id)
	}
	a.run(t, parent, "touch /tmp/enough")
	lines := <-received
	require.NotEmpty(t, lines)
	for i, line := range lines {
		require.Equal(t, strconv.Itoa(i+1), line, "the parent's client received every line")
	}
}

// testSnapshot keeps a build of a running sandbox across a restart of the agent.
func testSnapshot(t *testing.T, a *agentUnderTest, id string) {
	build := uuid.NewString()
	a.run(t, id, "echo snapshot > /home/user/what; touch /dev/shm/warm")
	taken, err := a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: build}))
	require.NoError(t, err)
	require.Equal(t, build, taken.Msg.GetTemplate().GetBuildId())
	_, err = a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: build}))
	require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(err))
	_, err = a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: "../" + build}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
	require.Equal(t, "hello", a.run(t, id, "echo later > /home/user/what; echo $GREETING"), "the source keeps what it was given")

	cold := uuid.NewString()
	_, err = a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: cold, WithoutMemory: true}))
	require.NoError(t, err)
	require.Equal(t, "goes on", a.run(t, id, "echo later still > /home/user/what; sync; echo goes on"), "the source's file system is thawed")

	a.restart(t)
	require.Empty(t, a.signingKeyID(t), "a new agent has no signing key")
	require.Equal(t, "sts.amazonaws.com", audienceOf(t, a.config.DataDir, id), "but the identities of its sandboxes")
	testColdSnapshot(t, a, cold)
	for number := range 2 {
		other := fmt.Sprintf("isnapshot00000000%03d", number)
		a.killAfter(t, other)
		request := &pb.CreateSandboxRequest{SandboxId: other, BuildId: build, RequestId: "once", Identity: &pb.Identity{LifecycleId: other}}
		for range 2 { // the second finds what the first has made
			_, err = a.CreateSandbox(t.Context(), connect.NewRequest(request))
			require.NoError(t, err)
		}
		require.Equal(t, "snapshot given nothing", a.run(t, other, "echo $(cat /home/user/what) given ${GREETING:-nothing}"))
		if number == 0 {
			continue
		}
		_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
		require.NoError(t, err)
		a.pause(t, other) // its memory is still there to be compared with
		a.resume(t, other)
		require.Equal(t, "snapshot", a.run(t, other, "cat /home/user/what"))
	}
	_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
}

// testColdSnapshot creates a sandbox from a snapshot without memory, and deletes the snapshot.
func testColdSnapshot(t *testing.T, a *agentUnderTest, build string) {
	t.Helper()
	const cold = "icoldsnapshot0000000"
	a.killAfter(t, cold)
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: cold, BuildId: build, Identity: &pb.Identity{LifecycleId: cold, EnvVars: map[string]string{"GREETING": "hello"}},
	}))
	require.NoError(t, err)
	require.Equal(t, "later, booted for hello", a.run(t, cold, "echo $(cat /home/user/what), $(test -e /dev/shm/warm || echo booted) for $GREETING"))
	a.pause(t, cold)
	a.resume(t, cold)
	require.Equal(t, "later", a.run(t, cold, "cat /home/user/what"))
	a.kill(t, cold)
	_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
	require.NoError(t, err)
}

func requireNoSnapshots(t *testing.T, a *agentUnderTest) {
	t.Helper()
	left, err := os.ReadDir(a.file("storage", "snapshots"))
	require.NoError(t, err)
	require.Empty(t, left)
}
