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
)

// TestWarmPool takes sandboxes from guests that were held ready.
func TestWarmPool(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir, func(c *Config) { c.WarmMemoryPercent = 5 })
	t.Cleanup(func() { a.abort(t) })
	const first, second, third = "iwarm000000000000001", "iwarm000000000000002", "iwarm000000000000003"

	t.Run("a create takes a guest that was ready, under an identity of its own", func(t *testing.T) {
		ready := awaitReady(t, a, dataDir)
		require.NoError(t, a.create(t.Context(), first))
		require.Contains(t, ready, processOf(t, dataDir, first))
		require.Equal(t, "hello from user", a.run(t, first, `echo "$GREETING from $(id -un)"`))
		said, err := strconv.ParseFloat(a.run(t, first, "date +%s.%N"), 64)
		require.NoError(t, err)
		require.InDelta(t, float64(time.Now().UnixNano())/1e9, said, 3, "its clock stood still while it was held")
	})
	t.Run("no two draw the same random numbers", func(t *testing.T) {
		awaitReady(t, a, dataDir)
		require.NoError(t, a.create(t.Context(), second))
		const draw = "head -c 16 /dev/urandom | base64; python3 -c 'import random; print(random.random())'"
		require.NotEqual(t, a.run(t, first, draw), a.run(t, second, draw))
		a.kill(t, second)
	})
	t.Run("its policy holds from the first packet on", func(t *testing.T) {
		awaitReady(t, a, dataDir)
		_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
			SandboxId: second, BuildId: a.build, DenyInternet: true, Identity: &pb.Identity{LifecycleId: second},
		}))
		require.NoError(t, err)
		require.Equal(t, "closed", a.run(t, second, "timeout 3 bash -c '</dev/tcp/192.0.2.1/80' 2>/dev/null || echo closed"))
		a.kill(t, second)
	})
	t.Run("it is paused and resumed like any other", func(t *testing.T) {
		a.run(t, first, "echo kept > /dev/shm/kept")
		a.pause(t, first)
		a.resume(t, first)
		require.Equal(t, "kept", a.run(t, first, "cat /dev/shm/kept"))
	})
	t.Run("a fork of it is no clone of the template", func(t *testing.T) {
		awaitReady(t, a, dataDir)
		made, err := a.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{SandboxId: first, Forks: []*pb.Fork{
			{SandboxId: third, Identity: &pb.Identity{LifecycleId: third}},
		}}))
		require.NoError(t, err)
		require.Empty(t, made.Msg.GetResults()[0].GetError())
		require.Equal(t, "kept", a.run(t, third, "cat /dev/shm/kept"))
		a.kill(t, third)
	})
	t.Run("one that died while it was held is replaced", func(t *testing.T) {
		sandbox := processOf(t, dataDir, first)
		for _, process := range awaitReady(t, a, dataDir) {
			if process != sandbox {
				require.NoError(t, syscall.Kill(process, syscall.SIGKILL))
			}
		}
		require.NoError(t, a.create(t.Context(), second))
		require.Equal(t, "lives", a.run(t, second, "echo lives"))
		a.kill(t, second)
	})
	a.kill(t, first)
	awaitReady(t, a, dataDir)
	a.shutDown(t)
	t.Run("those of an agent that was killed are ended by the next", func(t *testing.T) { testLostClones(t, dataDir) })
	require.Empty(t, virtualMachines(t, dataDir))
	require.NoDirExists(t, filepath.Join(dataDir, "storage", "sandboxes", ".warm"))
	requireNothingLeft(t, before, dataDir)
}

func testLostClones(t *testing.T, dataDir string) {
	killed := startAgentProcess(t, dataDir, "--warm-memory-percent", "5")
	lost := awaitReady(t, killed.agentUnderTest, dataDir)
	require.NotEmpty(t, lost)
	killed.end(t, syscall.SIGKILL)
	next := startAgentProcess(t, dataDir)
	require.Empty(t, virtualMachines(t, dataDir))
	next.end(t, syscall.SIGTERM)
	// One that keeps nothing running takes the storage down.
	startAgent(t, dataDir).shutDown(t)
}

// awaitReady waits until a guest is held ready, and returns all VMs there are.
func awaitReady(t *testing.T, a *agentUnderTest, dataDir string) []int {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := a.GetInfo(t.Context(), connect.NewRequest(&pb.GetInfoRequest{}))
		return err == nil && info.Msg.GetReadyCount() > 0
	}, time.Minute, 20*time.Millisecond, "no guest is held ready")
	var machines []int
	for _, machine := range virtualMachines(t, dataDir) {
		id, err := strconv.Atoi(machine)
		require.NoError(t, err)
		machines = append(machines, id)
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
