package hostagent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// warmPoolTests run on one agent that holds guests ready, in any order.
var warmPoolTests = map[string]func(t *testing.T, a *agentUnderTest){
	"a create takes a guest that was held ready":     testReadyGuest,
	"its guests draw different random numbers":       testReadyRandomNumbers,
	"its network policy holds from the first packet": testReadyPolicy,
	"it is paused and resumed like any other":        testReadyPause,
	"a fork of it has its memory":                    testReadyFork,
	"a guest that ends while it is held is replaced": testReadyGuestEnds,
	"a build that is used is held ready":             testReadyBuild,
}

// TestWarmPool creates sandboxes from guests that were held ready.
func TestWarmPool(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir, func(c *Config) { c.WarmMemoryPercent = 5 })
	t.Cleanup(func() { a.abort(t) })
	for name, test := range warmPoolTests {
		t.Run(name, func(t *testing.T) { test(t, a) })
	}
	awaitReady(t, a)
	a.shutDown(t)
	t.Run("guests of an agent that was killed are ended by the next", func(t *testing.T) { testLostClones(t, dataDir) })
	require.Empty(t, virtualMachines(t, dataDir))
	require.NoDirExists(t, filepath.Join(dataDir, "storage", "sandboxes", ".warm"))
	requireNothingLeft(t, before, dataDir)
}

// readySandbox creates a sandbox when a guest is held ready for it.
func (a *agentUnderTest) readySandbox(t *testing.T) string {
	t.Helper()
	awaitReady(t, a)
	return a.sandbox(t)
}

func testReadyGuest(t *testing.T, a *agentUnderTest) {
	ready := awaitReady(t, a)
	sandboxID := a.sandbox(t)
	require.Contains(t, ready, processOf(t, a.config.DataDir, sandboxID))
	require.Equal(t, "hello from user", a.run(t, sandboxID, `echo "$GREETING from $(id -un)"`))
	requireClock(t, a, sandboxID)
}

func testReadyRandomNumbers(t *testing.T, a *agentUnderTest) {
	const draw = "head -c 16 /dev/urandom | base64; python3 -c 'import random; print(random.random())'"
	first, second := a.readySandbox(t), a.readySandbox(t)
	require.NotEqual(t, a.run(t, first, draw), a.run(t, second, draw))
}

func testReadyPolicy(t *testing.T, a *agentUnderTest) {
	awaitReady(t, a)
	denied := id.NewSandbox()
	a.killAfter(t, denied)
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: denied, BuildId: a.build, DenyInternet: true, Identity: &pb.Identity{LifecycleId: denied},
	}))
	require.NoError(t, err)
	require.Equal(t, "closed", a.run(t, denied, "timeout 3 bash -c '</dev/tcp/192.0.2.1/80' 2>/dev/null || echo closed"))
}

func testReadyPause(t *testing.T, a *agentUnderTest) {
	sandboxID := a.readySandbox(t)
	a.run(t, sandboxID, "echo kept > /dev/shm/kept")
	a.pause(t, sandboxID)
	a.resume(t, sandboxID)
	require.Equal(t, "kept", a.run(t, sandboxID, "cat /dev/shm/kept"))
}

func testReadyFork(t *testing.T, a *agentUnderTest) {
	parent, fork := a.readySandbox(t), id.NewSandbox()
	a.run(t, parent, "echo kept > /dev/shm/kept")
	awaitReady(t, a)
	a.killAfter(t, fork)
	made, err := a.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{SandboxId: parent, Forks: []*pb.Fork{
		{SandboxId: fork, Identity: &pb.Identity{LifecycleId: fork}},
	}}))
	require.NoError(t, err)
	require.Empty(t, made.Msg.GetResults()[0].GetError())
	require.Equal(t, "kept", a.run(t, fork, "cat /dev/shm/kept"))
}

func testReadyGuestEnds(t *testing.T, a *agentUnderTest) {
	for _, process := range awaitReady(t, a) {
		require.NoError(t, syscall.Kill(process, syscall.SIGKILL))
	}
	require.Equal(t, "lives", a.run(t, a.sandbox(t), "echo lives"))
}

// testReadyBuild creates from a build until it is in use, and then from a guest of it.
func testReadyBuild(t *testing.T, a *agentUnderTest) {
	startInternet(t)
	b := newBuilds(a)
	request := b.request(user("1", "worker"), workdir("2", "/srv/app"), env("3", "COLOUR", "blue"))
	request.StartCommand = "while :; do echo tick >> /tmp/ticks; sleep 0.2; done"
	done := b.build(t, request)
	for range 2 {
		a.kill(t, b.sandbox(t, done, nil))
	}
	ready := awaitReadyCount(t, a, 2)
	made := b.sandbox(t, done, map[string]string{"SHADE": "dark"})
	require.Contains(t, ready, processOf(t, a.config.DataDir, made))
	require.Equal(t, "worker /srv/app blue dark", a.run(t, made, `echo "$(id -un) $PWD $COLOUR $SHADE"`))
	require.Equal(t, "reached", a.run(t, made, "curl -s -m 10 "+internetURL), "it may reach what it could not while it waited")
	require.Equal(t, "more", a.run(t, made, `was=$(wc -l < /tmp/ticks); sleep 1; [ $(wc -l < /tmp/ticks) -gt $was ] && echo more`))
	a.pause(t, made)
	a.resume(t, made)
	require.Equal(t, "reached", a.run(t, made, "curl -s -m 10 "+internetURL))
	a.kill(t, made)
	_, err := a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: request.BuildId}))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(awaitReady(t, a)) <= 1 }, time.Minute, 100*time.Millisecond, "guests of a build go with it")
}

func testLostClones(t *testing.T, dataDir string) {
	killed := startAgentProcess(t, dataDir, "--warm-memory-percent", "5")
	lost := awaitReady(t, killed.agentUnderTest)
	require.NotEmpty(t, lost)
	killed.end(t, syscall.SIGKILL)
	next := startAgentProcess(t, dataDir)
	require.Empty(t, virtualMachines(t, dataDir))
	next.end(t, syscall.SIGTERM)
	// One that keeps nothing running takes the storage down.
	startAgent(t, dataDir).shutDown(t)
}

// awaitReady waits until a guest is held ready, and returns the processes of all VMs.
func awaitReady(t *testing.T, a *agentUnderTest) []int {
	t.Helper()
	return awaitReadyCount(t, a, 1)
}

func awaitReadyCount(t *testing.T, a *agentUnderTest, count uint32) []int {
	t.Helper()
	const patience = 2 * time.Minute // the pool rests for 70 seconds over three failures
	require.Eventually(t, func() bool {
		info, err := a.GetInfo(t.Context(), connect.NewRequest(&pb.GetInfoRequest{}))
		return err == nil && info.Msg.GetReadyCount() >= count
	}, patience, 20*time.Millisecond, "no guest is held ready")
	var machines []int
	for _, machine := range virtualMachines(t, a.config.DataDir) {
		pid, err := strconv.Atoi(machine)
		require.NoError(t, err)
		machines = append(machines, pid)
	}
	return machines
}

// runningRecord is how a running sandbox is found again.
type runningRecord struct {
	Process struct{ ID int }
	Slot    string
}

func recordOf(t *testing.T, dataDir, id string) runningRecord {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dataDir, "storage", "sandboxes", id, "sandbox.json"))
	require.NoError(t, err)
	var record runningRecord
	require.NoError(t, json.Unmarshal(content, &record))
	return record
}

// processOf is a running sandbox's VM.
func processOf(t *testing.T, dataDir, id string) int {
	t.Helper()
	record := recordOf(t, dataDir, id)
	require.NotZero(t, record.Process.ID)
	return record.Process.ID
}
