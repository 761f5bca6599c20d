package chaos

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
)

// TestChaos_Builds kills the host agent, control planes and the VMs of builds at random
// moments while templates are built. Longer: make chaos CHAOS_TIME=1h.
func TestChaos_Builds(t *testing.T) {
	before, err := leakcheck.Take()
	require.NoError(t, err)
	w := startWrenn(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &buildKiller{wrenn: w, random: rand.New(rand.NewPCG(seed, 0)), done: map[string]int{}}

	ctx, cancel := context.WithTimeout(t.Context(), chaosDuration(t))
	defer cancel()
	failures := make([]error, workers+1)
	var building, killing sync.WaitGroup
	killing.Go(func() { failures[workers] = k.run(ctx) })
	builders := make([]*builder, workers)
	for number := range workers {
		builders[number] = newBuilder(w, number, seed)
		building.Go(func() { failures[number] = builders[number].run(ctx, t.Context()) })
	}
	building.Wait()
	cancel()
	killing.Wait()
	counts := maps.Clone(k.done)
	for _, b := range builders {
		for what, count := range b.counts {
			counts[what] += count
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[what], what)
	}
	for _, err := range failures {
		require.NoError(t, err)
	}
	requireNoBuildLeft(t, w, builders[0])
	requireNothingOf(t, w, before)
}

// unfinished are rows that builds leave only while they run.
const unfinished = `SELECT ROW(
    (SELECT count(*) FROM template_builds WHERE status IN ('waiting', 'building')),
    (SELECT count(*) FROM build_requests WHERE claimant <> 0 OR sealed_confidential IS NOT NULL),
    (SELECT count(*) FROM build_usage WHERE ended_at IS NULL),
    (SELECT count(*) FROM stray_builds),
    (SELECT count(*) FROM river_job WHERE kind = 'build_template' AND finalized_at IS NULL))::text`

// requireNoBuildLeft deletes all templates, and looks for what builds have left: in the
// database, and on the host once more after its agent was killed.
func requireNoBuildLeft(t *testing.T, w *wrenn, b *builder) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), "postgres://wrenn@/wrenn?host="+filepath.Join(w.DataDir, "run", "postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	var left string
	for deadline := time.Now().Add(leakPatience); left != "(0,0,0,0,0)"; <-time.After(200 * time.Millisecond) {
		require.NoError(t, conn.QueryRow(t.Context(), unfinished).Scan(&left))
		require.True(t, time.Now().Before(deadline), "builds that have not ended, requests, usage, strays, jobs: %s", left)
	}
	require.Empty(t, w.buildVMs())
	requireKnownSnapshots(t, w, conn)
	require.NoError(t, b.clear(t.Context()))
	requireKnownSnapshots(t, w, conn)

	require.True(t, w.signalPart("wrenn-agent", syscall.SIGKILL))
	// Another agent answers.
	got, err := b.ask(t.Context(), http.MethodPost, "/sandboxes", map[string]any{"templateID": "base", "timeout": 60}, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, got.status, "%s", got)
	require.Empty(t, w.buildVMs())
	requireEmpty(t, w.storage("builds"))
	unfinishedUploads, err := filepath.Glob(w.storage("uploads", "*", ".unfinished-*"))
	require.NoError(t, err)
	require.Empty(t, unfinishedUploads)
	requireWholeLayers(t, w)
	require.NoError(t, b.clear(t.Context()))
}

func requireEmpty(t *testing.T, directory string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Empty(t, entries, directory)
}

// requireKnownSnapshots wants each snapshot of the host to be a build that is ready.
func requireKnownSnapshots(t *testing.T, w *wrenn, conn *pgx.Conn) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT b.build_id::text FROM host_builds b")
	require.NoError(t, err)
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	entries, err := os.ReadDir(w.storage("snapshots"))
	require.NoError(t, err)
	for _, entry := range entries {
		require.Contains(t, known, entry.Name(), "a snapshot is left of a build that is not ready")
	}
}

// requireWholeLayers wants each layer to have an entry of the index, and each entry a layer.
func requireWholeLayers(t *testing.T, w *wrenn) {
	t.Helper()
	indexed := map[string]bool{}
	entries, err := filepath.Glob(w.storage("layers", "*", "index", "*"))
	require.NoError(t, err)
	for _, path := range entries {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var entry struct{ LayerID string }
		require.NoError(t, json.Unmarshal(content, &entry), path)
		indexed[entry.LayerID] = true
	}
	disks, err := filepath.Glob(w.storage("layers", "*", "disks", "*"))
	require.NoError(t, err)
	for _, path := range disks {
		id := strings.TrimSuffix(filepath.Base(path), ".json")
		require.True(t, indexed[id], "layer %s has no entry", path)
	}
	for id := range indexed {
		found, err := filepath.Glob(w.storage("layers", "*", "disks", id))
		require.NoError(t, err)
		require.True(t, id == "" || len(found) == 1, "the entry of layer %s has no disk", id)
	}
}
