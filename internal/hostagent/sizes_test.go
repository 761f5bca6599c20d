package hostagent

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// TestSizes creates sandboxes of other sizes than their template's, on one agent.
func TestSizes(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir, func(config *Config) { config.WarmMemoryPercent = 0 })
	t.Cleanup(func() { a.abort(t) })
	t.Run("a size boots once for all who wait, and is kept", func(t *testing.T) { testSizeOnce(t, newBuilds(a)) })
	t.Run("the base template has other sizes", func(t *testing.T) { testSizeOfBase(t, a) })
	t.Run("what a sandbox becomes keeps its size", func(t *testing.T) { testSizeKept(t, a) })
	t.Run("a size that is not possible is refused with what to do", func(t *testing.T) { testSizeRefused(t, a) })
	t.Run("a template that does not start with a size says why", func(t *testing.T) { testSizeFails(t, newBuilds(a)) })
	require.Empty(t, a.list(t))
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

// sized creates a sandbox of a size, and kills it when the test ends.
func (a *agentUnderTest) sized(t *testing.T, buildID string, vcpus, memoryMiB, diskMiB uint32) (*pb.Sandbox, error) {
	t.Helper()
	made := id.NewSandbox()
	a.killAfter(t, made)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	response, err := a.CreateSandbox(ctx, connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: made, BuildId: buildID, Identity: &pb.Identity{LifecycleId: made},
		Size: &pb.Size{VcpuCount: vcpus, MemoryMib: memoryMiB, DiskMib: diskMiB},
	}))
	if err != nil {
		return nil, err
	}
	return response.Msg.Sandbox, nil
}

// requireSize fails the test unless a guest finds the size that the host says it has.
func (a *agentUnderTest) requireSize(t *testing.T, sandboxID string, vcpus, memoryMiB, diskMiB int) {
	t.Helper()
	known, err := a.GetSandbox(t.Context(), connect.NewRequest(&pb.GetSandboxRequest{SandboxId: sandboxID}))
	require.NoError(t, err)
	said := known.Msg.Sandbox
	require.Equal(t, []int{vcpus, memoryMiB, diskMiB}, []int{int(said.VcpuCount), int(said.MemoryMib), int(said.DiskMib)})
	found := strings.Fields(a.run(t, sandboxID, `nproc; awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo; df -m --output=size / | tail -1`))
	require.Len(t, found, 3)
	number := func(text string) int {
		parsed, err := strconv.Atoi(text)
		require.NoError(t, err)
		return parsed
	}
	require.Equal(t, vcpus, number(found[0]))
	require.InDelta(t, memoryMiB, number(found[1]), float64(memoryMiB)/5, "the kernel takes some")
	require.InDelta(t, diskMiB, number(found[2]), float64(diskMiB)/10, "the file system takes some")
}

// sizesOnDisk are the directories of sizes that a host has.
func (a *agentUnderTest) sizesOnDisk(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(a.file("storage", "sizes"))
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func testSizeOnce(t *testing.T, b *buildsUnderTest) {
	a := b.agent
	request := b.request(run("1", "echo kept > kept"))
	request.StartCommand = "echo started with $(nproc) >> starts; cat /proc/sys/kernel/random/uuid > boot; sleep 1000000"
	request.ReadyCommand = "test -s boot"
	done := b.build(t, request)
	done.requireReady(t)

	const creates = 5
	made := make([]*pb.Sandbox, creates)
	failures := make([]error, creates)
	var waiting sync.WaitGroup
	for i := range creates {
		waiting.Go(func() { made[i], failures[i] = a.sized(t, request.BuildId, 2, 768, 6144) })
	}
	waiting.Wait()
	boots := make(map[string]bool)
	for i, sandbox := range made {
		require.NoError(t, failures[i])
		boots[a.run(t, sandbox.SandboxId, "cat boot")] = true
	}
	require.Len(t, boots, 1, "all were restored from one boot")
	require.Len(t, a.sizesOnDisk(t), 1)
	first := made[0].SandboxId
	a.requireSize(t, first, 2, 768, 6144)
	require.Equal(t, "started with 2", a.run(t, first, "cat starts"), "the start command ran in no other size before")
	require.NotEmpty(t, a.run(t, first, "pgrep -f 'sleep 1000000'"))
	require.Equal(t, "kept", a.run(t, first, "cat kept"))
	info, err := a.GetInfo(t.Context(), connect.NewRequest(&pb.GetInfoRequest{}))
	require.NoError(t, err)
	require.EqualValues(t, creates*2, info.Msg.AllocatedCpus)
	require.EqualValues(t, creates*768<<20, info.Msg.AllocatedMemoryBytes)

	own := b.sandbox(t, done, nil)
	a.requireSize(t, own, 1, 512, 4096)
	require.Equal(t, "started with 1", a.run(t, own, "cat starts"))

	again := b.build(t, withNewID(request))
	again.requireReady(t)
	for _, sandbox := range made {
		a.kill(t, sandbox.SandboxId)
	}
	a.kill(t, own)
	a.restart(t, func(config *Config) { config.WarmMemoryPercent = 0 })
	later, err := a.sized(t, again.request.BuildId, 2, 768, 6144)
	require.NoError(t, err)
	require.Contains(t, boots, a.run(t, later.SandboxId, "cat boot"), "a build of the same has it after a restart")
	require.Equal(t, again.request.BuildId, later.BuildId)

	for _, buildID := range []string{request.BuildId, again.request.BuildId} {
		_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: buildID}))
		require.NoError(t, err)
	}
	require.Equal(t, "kept", a.run(t, later.SandboxId, "cat kept"), "it runs on")
	a.kill(t, later.SandboxId)
	a.restart(t, func(config *Config) { config.WarmMemoryPercent = 0 })
	require.Eventually(t, func() bool { return len(a.sizesOnDisk(t)) == 0 }, time.Minute, 50*time.Millisecond, "it goes with its builds")
}

func withNewID(request *pb.StartBuildRequest) *pb.StartBuildRequest {
	return &pb.StartBuildRequest{
		BuildId: uuid.NewString(), TeamId: request.TeamId, TemplateId: request.TemplateId, VcpuCount: request.VcpuCount, MemoryMib: request.MemoryMib,
		DiskMib: request.DiskMib, Stages: request.Stages, StartCommand: request.StartCommand, ReadyCommand: request.ReadyCommand,
	}
}

func testSizeOfBase(t *testing.T, a *agentUnderTest) {
	var told []string
	stream, err := a.PrepareSize(t.Context(), connect.NewRequest(&pb.PrepareSizeRequest{BuildId: a.build, Size: &pb.Size{MemoryMib: 1024}}))
	require.NoError(t, err)
	for stream.Receive() {
		told = append(told, stream.Msg().Text)
	}
	require.NoError(t, stream.Err())
	require.NoError(t, stream.Close())
	require.Len(t, told, 2)
	require.Contains(t, told[0], "boots once with 1 vCPU, 1024 MiB of memory and 4096 MiB of disk")
	require.Contains(t, told[1], "The size is ready")
	began := time.Now()
	made, err := a.sized(t, a.build, 0, 1024, 0)
	require.NoError(t, err)
	t.Logf("a create of a known size took %s", time.Since(began))
	a.requireSize(t, made.SandboxId, 1, 1024, 4096)
	require.Equal(t, "hello", a.run(t, made.SandboxId, `python3 -c 'print("hello")'`))
	a.kill(t, made.SandboxId)
}

func testSizeKept(t *testing.T, a *agentUnderTest) {
	made, err := a.sized(t, a.build, 0, 1024, 0)
	require.NoError(t, err)
	parent, fork := made.SandboxId, id.NewSandbox()
	a.pause(t, parent)
	a.resume(t, parent)
	a.requireSize(t, parent, 1, 1024, 4096)
	a.killAfter(t, fork)
	forks, err := a.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{SandboxId: parent, Forks: []*pb.Fork{
		{SandboxId: fork, Identity: &pb.Identity{LifecycleId: fork}},
	}}))
	require.NoError(t, err)
	require.Empty(t, forks.Msg.GetResults()[0].GetError())
	a.requireSize(t, fork, 1, 1024, 4096)
	a.kill(t, fork)

	taken := a.snapshotOf(t, parent, false)
	same, err := a.sized(t, taken, 0, 0, 0)
	require.NoError(t, err)
	a.requireSize(t, same.SandboxId, 1, 1024, 4096)
	a.kill(t, same.SandboxId)
	_, err = a.sized(t, taken, 1, 512, 4096)
	require.Contains(t, requireSizeRefused(t, err), "take the snapshot without memory")

	a.run(t, parent, "echo kept > kept; sync")
	cold := a.snapshotOf(t, parent, true)
	a.kill(t, parent)
	other, err := a.sized(t, cold, 2, 640, 5120)
	require.NoError(t, err)
	a.requireSize(t, other.SandboxId, 2, 640, 5120)
	require.Equal(t, "kept", a.run(t, other.SandboxId, "cat kept"))
	a.pause(t, other.SandboxId)
	a.resume(t, other.SandboxId)
	a.requireSize(t, other.SandboxId, 2, 640, 5120)
	a.kill(t, other.SandboxId)
}

// snapshotOf takes a snapshot, and deletes it when the test ends.
func (a *agentUnderTest) snapshotOf(t *testing.T, sandboxID string, withoutMemory bool) string {
	t.Helper()
	buildID := uuid.NewString()
	_, err := a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: sandboxID, BuildId: buildID, WithoutMemory: withoutMemory}))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = a.DeleteSnapshot(context.Background(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: buildID}))
	})
	return buildID
}

// requireSizeRefused returns the explanation of a refusal of a size.
func requireSizeRefused(t *testing.T, err error) string {
	t.Helper()
	var refused *connect.Error
	require.ErrorAs(t, err, &refused)
	require.NotEmpty(t, refused.Details())
	value, err := refused.Details()[0].Value()
	require.NoError(t, err)
	refusal, ok := value.(*pb.Refusal)
	require.True(t, ok)
	require.Equal(t, pb.Reason_REASON_SIZE_REFUSED, refusal.Reason, "%v", refused)
	return refusal.Explanation
}

func testSizeRefused(t *testing.T, a *agentUnderTest) {
	for name, test := range map[string]struct {
		vcpus, memoryMiB, diskMiB uint32
		want                      string
	}{
		"a smaller disk":        {1, 512, 2048, "diskSizeMB of at least 4096"},
		"little memory":         {1, 64, 4096, "128 MiB of memory"},
		"more vCPUs than there": {200, 512, 4096, "a smaller cpuCount"},
	} {
		_, err := a.sized(t, a.build, test.vcpus, test.memoryMiB, test.diskMiB)
		require.Contains(t, requireSizeRefused(t, err), test.want, name)
	}
	_, err := a.sized(t, a.build, 1<<31, 512, 4096)
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))
}

func testSizeFails(t *testing.T, b *buildsUnderTest) {
	a := b.agent
	request := b.request()
	request.StartCommand = `echo a licence is looked for; [ $(nproc) = 1 ] || { echo no licence for $(nproc) >&2; exit 3; }; sleep 1000000`
	request.ReadyCommand = "pgrep -f 'sleep 1000000'"
	b.build(t, request).requireReady(t)
	had := a.sizesOnDisk(t)
	_, err := a.sized(t, request.BuildId, 2, 512, 4096)
	explained := requireSizeRefused(t, err)
	require.Contains(t, explained, "exit code 3")
	require.Contains(t, explained, "licence is looked for", "the command is named")
	require.Contains(t, explained, "\nno licence for 2", "and the end of its output")
	require.NotContains(t, explained, a.config.DataDir)
	require.Equal(t, had, a.sizesOnDisk(t))
	require.Empty(t, virtualMachines(t, a.config.DataDir))
	entries, err := os.ReadDir(a.file("storage", "builds"))
	require.NoError(t, err)
	require.Empty(t, entries)
	_, err = a.sized(t, request.BuildId, 1, 640, 4096)
	require.NoError(t, err, "other sizes are not affected")
}

// TestSizeProcess kills a real agent while it makes a size. The next one leaves nothing of
// it, and makes the size again.
func TestSizeProcess(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgentProcess(t, dataDir)
	t.Cleanup(func() { a.abort(t) })
	a.config.RPCSocket = a.file("rpc.sock")
	b := newBuilds(a.agentUnderTest)
	request := b.request()
	request.StartCommand, request.ReadyCommand = "sleep 1000000", "sleep 2"
	b.start(t, request)
	b.follow(t, request).requireReady(t)
	had := a.sizesOnDisk(t) // those of the base, of other tests
	for _, moment := range []string{"boots once", "Wait until"} {
		stream, err := a.PrepareSize(t.Context(), connect.NewRequest(&pb.PrepareSizeRequest{BuildId: request.BuildId, Size: &pb.Size{MemoryMib: 640}}))
		require.NoError(t, err)
		for stream.Receive() && !strings.Contains(stream.Msg().Text, moment) {
		}
		require.NoError(t, stream.Err(), moment)
		a.end(t, syscall.SIGKILL)
		_ = stream.Close()
		a.startAgain(t)
		require.Empty(t, virtualMachines(t, dataDir), moment)
		require.Equal(t, had, a.sizesOnDisk(t), moment)
		entries, err := os.ReadDir(a.file("storage", "builds"))
		require.NoError(t, err)
		require.Empty(t, entries, moment)
	}
	made, err := a.sized(t, request.BuildId, 1, 640, 4096)
	require.NoError(t, err)
	a.requireSize(t, made.SandboxId, 1, 640, 4096)
	a.kill(t, made.SandboxId)
	_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: request.BuildId}))
	require.NoError(t, err)
	a.end(t, syscall.SIGKILL)
	cleanUp := startAgent(t, dataDir)
	require.Equal(t, had, cleanUp.sizesOnDisk(t))
	cleanUp.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}
