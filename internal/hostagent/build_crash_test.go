package hostagent

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
)

// TestBuildProcess kills a real agent in each part of a build. The next one leaves neither
// a VM nor a file of it, and the build goes on from the layers that were stored.
func TestBuildProcess(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgentProcess(t, dataDir)
	t.Cleanup(func() {
		a.abort(t)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dataDir, "agent.log"))
			t.Logf("the agent's log:\n%s", log)
		}
	})
	a.config.RPCSocket = filepath.Join(dataDir, "rpc.sock")
	b := newBuilds(a.agentUnderTest)
	request := b.request(run("1", "echo one > one; echo one begun; sleep 3"), run("2", "cat one; echo two begun; sleep 3"))
	request.StartCommand, request.ReadyCommand = "sleep 1000000", "sleep 3"
	for _, moment := range []string{"[base] FROM", "[stdout]: one begun", "[stdout]: two begun", "[finalize] Wait"} {
		b.start(t, request)
		b.awaitEntry(t, request.BuildId, moment)
		a.end(t, syscall.SIGKILL)
		a.startAgain(t)
		require.Empty(t, virtualMachines(t, dataDir), moment)
		entries, err := os.ReadDir(a.file("storage", "builds"))
		require.NoError(t, err)
		require.Empty(t, entries, moment)
		require.NoDirExists(t, a.file("storage", "snapshots", request.BuildId))
	}
	b.start(t, request)
	done := b.follow(t, request)
	done.requireReady(t)
	require.True(t, done.steps["1"].Cached, "its layer was durable before the agent was killed in the second step")
	require.True(t, done.steps["2"].Cached)
	a.end(t, syscall.SIGKILL)
	a.startAgain(t)
	made := b.sandbox(t, done, nil)
	require.Equal(t, "one", a.run(t, made, "cat one"), "a build that was ready is there")
	require.NotEmpty(t, a.run(t, made, "pgrep -f 'sleep 1000000'"))
	b.start(t, request)
	b.follow(t, request).requireReady(t)
	a.kill(t, made)
	_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: request.BuildId}))
	require.NoError(t, err)
	a.end(t, syscall.SIGKILL)
	cleanUp := startAgent(t, dataDir)
	cleanUp.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

// testBuildLostVM kills the VM of a build in a step and at the end, and twice in one build.
func testBuildLostVM(t *testing.T, b *buildsUnderTest) {
	const again = "once more in another"
	killAt := func(request *pb.StartBuildRequest, moment string) {
		b.awaitEntry(t, request.BuildId, moment)
		for _, text := range virtualMachines(t, b.agent.config.DataDir) {
			process, err := strconv.Atoi(text)
			require.NoError(t, err)
			command, err := os.ReadFile(filepath.Join("/proc", text, "cmdline"))
			if err == nil && bytes.Contains(command, []byte(b.agent.file("storage", "builds"))) {
				_ = syscall.Kill(process, syscall.SIGKILL) // it may have ended
			}
		}
	}
	wanted := func(last string) *pb.StartBuildRequest {
		return b.request(run("1", "echo one > one"), run("2", "echo begun; sleep 3; cat one; "+last))
	}
	inStep := wanted("echo two > two")
	b.start(t, inStep)
	killAt(inStep, "[stdout]: begun")
	done := b.follow(t, inStep)
	done.requireReady(t)
	require.Contains(t, done.text(), again)
	require.Equal(t, "one\ntwo", b.agent.run(t, b.sandbox(t, done, nil), "cat one two"))

	twice := wanted("echo three > three")
	twice.StartCommand, twice.ReadyCommand = "sleep 1000000", "sleep 3"
	b.start(t, twice)
	killAt(twice, "[stdout]: begun")
	b.awaitEntry(t, twice.BuildId, again)
	killAt(twice, "[finalize] Wait")
	failure := b.follow(t, twice).requireFailure(t, pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INTERNAL, "finalize")
	require.Contains(t, failure.Message, "VM ended unexpectedly. Build again")

	atEnd := wanted("echo three > three")
	atEnd.StartCommand, atEnd.ReadyCommand = twice.StartCommand, twice.ReadyCommand
	b.start(t, atEnd)
	killAt(atEnd, "[finalize] Wait")
	done = b.follow(t, atEnd)
	done.requireReady(t)
	require.Contains(t, done.text(), "[finalize] The VM has ended unexpectedly: "+again)
	require.True(t, done.steps["2"].Cached)
	require.Equal(t, "three", b.agent.run(t, b.sandbox(t, done, nil), "cat three && pgrep -f 'sleep 1000000' >/dev/null"))
}

// awaitEntry waits until a build's log has a text.
func (b *buildsUnderTest) awaitEntry(t *testing.T, buildID, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	stream, err := b.WatchBuild(ctx, connect.NewRequest(&pb.WatchBuildRequest{BuildId: buildID}))
	require.NoError(t, err)
	defer stream.Close()
	var seen []string
	for stream.Receive() {
		if line := stream.Msg().GetEntry().GetText(); line != "" {
			seen = append(seen, line)
		}
		if strings.Contains(stream.Msg().GetEntry().GetText(), text) {
			return
		}
	}
	t.Fatalf("no entry has %q (%v): %s", text, stream.Err(), strings.Join(seen, "\n"))
}
