package chaos

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

const (
	defaultDuration = 20 * time.Second
	workers         = 2
	// leakPatience is how long after the end something may be left.
	leakPatience = 30 * time.Second
)

// TestMain gives the agents a host of their own.
func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m)) }

// TestChaos kills the agent, its VMMs and the guests' socats at random moments
// under clients that do whatever clients do. Longer: make chaos CHAOS_TIME=1h.
func TestChaos(t *testing.T) { runChaos(t, false) }

// TestChaos_OnADiskThatIsFullNowAndThen is the same while all room on the disk is
// taken at random moments, and given back.
func TestChaos_OnADiskThatIsFullNowAndThen(t *testing.T) { runChaos(t, true) }

func runChaos(t *testing.T, fills bool) {
	dataDir := newDataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir, "1")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &killer{agent: a, random: rand.New(rand.NewPCG(seed, 0)), fills: fills, vmms: map[string]int{}}

	ctx, cancel := context.WithTimeout(t.Context(), chaosDuration(t))
	defer cancel()
	var working sync.WaitGroup
	failures := make([]error, workers+1)
	var killing sync.WaitGroup
	killing.Go(func() { failures[workers] = k.run(ctx) })
	all := make([]*worker, workers)
	for number := range workers {
		w := newWorker(a, k, number, seed)
		all[number] = w
		working.Go(func() { failures[number] = w.run(ctx, t.Context()) })
	}
	working.Wait()
	cancel()
	killing.Wait()
	report(t, k, all)
	showLog(t, dataDir)
	for _, err := range failures {
		require.NoError(t, err)
	}
	requireNothingLeft(t, a, before)
}

// chaosDuration is for how long processes are killed.
func chaosDuration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("WRENN_TEST_CHAOS_TIME")
	if text == "" {
		return defaultDuration
	}
	duration, err := time.ParseDuration(text)
	require.NoError(t, err, "WRENN_TEST_CHAOS_TIME")
	return duration
}

// report tells what was done, and what came of it.
func report(t *testing.T, k *killer, workers []*worker) {
	t.Helper()
	counts := map[string]int{}
	for _, w := range workers {
		for what, count := range w.counts {
			counts[what] += count
		}
	}
	vmms := 0
	for _, count := range k.vmms {
		vmms += count
	}
	t.Logf("killed: %d agents, %d VMMs, socat %d times; %d agents told to stop, the disk filled %d times; the agent was started %d times",
		k.agents, vmms, k.socats, k.stopped, k.filled, k.agent.starts)
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[what], what)
	}
}

func newDataDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real VMs in network namespaces")
	}
	directory, err := os.MkdirTemp("", "wrenn-chaos-") //nolint:usetesting // it stays when the test failed
	require.NoError(t, err)
	t.Cleanup(func() {
		if !t.Failed() {
			require.NoError(t, os.RemoveAll(directory))
		}
	})
	return directory
}

// showLog shows what the agent had to say to who looks for what went wrong.
func showLog(t *testing.T, dataDir string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dataDir, "agent.log"))
			const newest = 4 << 10 // what failed must not be lost in it
			t.Logf("its data and its log stay in %s; the log's end:\n%s", dataDir, log[max(0, len(log)-newest):])
		}
	})
}

// requireNothingLeft stops the agent, which was left no sandbox, and looks for
// what it should not have left.
func requireNothingLeft(t *testing.T, a *agent, before leakcheck.Snapshot) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(a.dataDir, "storage", "sandboxes"))
	require.NoError(t, err)
	for _, entry := range entries {
		require.Equal(t, ".warm", entry.Name(), "a sandbox is left that nobody owns")
	}
	snapshots, err := os.ReadDir(filepath.Join(a.dataDir, "storage", "snapshots"))
	require.NoError(t, err)
	require.Empty(t, snapshots)
	a.stop(syscall.SIGTERM)
	takeDown(t, a.dataDir)
	ctx, cancel := context.WithTimeout(t.Context(), leakPatience)
	defer cancel()
	left, err := before.LeftByInstallation(ctx, a.dataDir)
	require.NoError(t, err)
	require.Empty(t, left, "%s after the end", leakPatience)
}
