package sandboxes_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// After concurrent forks, snapshots, traffic and ends, the database and the host have the
// same sandboxes and builds.
func TestFamily_AnyMixOfForksAndSnapshotsEndsInAgreementWithTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	for range 2 {
		parent, err := f.Create(ctx, f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60, Lifecycle: sandbox.Lifecycle{AutoPause: true, AutoResume: true}})
		require.NoError(t, err)
		var running sync.WaitGroup
		for worker := range 6 {
			running.Go(func() {
				random := rand.New(rand.NewPCG(uint64(worker), 2)) //nolint:gosec // a test's dice
				for range 6 {
					f.step(t, random, parent.ID)
				}
			})
		}
		running.Wait()
	}
	require.NoError(t, f.Service.Reconcile(ctx, f.Host))
	f.requireAgreement(t)
}

func (f fixture) step(t *testing.T, random *rand.Rand, parentID string) {
	ctx := t.Context()
	switch random.IntN(12) {
	case 0:
		_ = f.Kill(ctx, f.Team, parentID)
	case 1, 2:
		_ = f.Pause(ctx, f.Team, parentID, sandbox.Pause{WithoutMemory: random.IntN(4) == 0})
	case 3, 4:
		_, _ = f.ResumeForTraffic(ctx, parentID)
	case 5, 6, 7:
		forks, _ := f.Fork(ctx, f.Team, parentID, 2, 60)
		for _, fork := range forks {
			if fork.Err == nil && random.IntN(2) == 0 {
				_ = f.Kill(ctx, f.Team, fork.Sandbox.ID)
			}
		}
	case 8, 9:
		_, _ = f.Snapshot(ctx, f.Team, parentID, templates.NewSnapshot{Name: []string{"", "one", "two"}[random.IntN(3)]})
	case 10:
		_ = f.Templates.DeleteSnapshot(ctx, f.Team, "one")
	default:
		_ = f.UpdateNetwork(ctx, f.Team, parentID, sandbox.Network{DenyOut: []string{"8.8.8.8"}})
	}
}

// requireAgreement compares all sandboxes and all snapshots' builds.
func (f fixture) requireAgreement(t *testing.T) {
	t.Helper()
	alive := map[string]pb.SandboxState{}
	found, err := rows.New(f.Pool).ListOnHost(t.Context(), rows.ListOnHostParams{HostID: f.Host})
	require.NoError(t, err)
	for _, row := range found {
		switch row.State {
		case sandbox.Running:
			alive[row.ID] = pb.SandboxState_SANDBOX_STATE_RUNNING
		case sandbox.Paused:
			alive[row.ID] = pb.SandboxState_SANDBOX_STATE_PAUSED
		default:
			require.Failf(t, "a sandbox is stuck in the middle of an operation", "%s is %s", row.ID, row.State)
		}
	}
	require.Equal(t, alive, f.Agent.States())
	stored := map[string]string{}
	builds, err := f.Pool.Query(t.Context(), `SELECT b.id::text, b.status FROM template_builds b
		JOIN templates t ON t.id = b.template_id WHERE t.snapshot_of IS NOT NULL`)
	require.NoError(t, err)
	defer builds.Close()
	for builds.Next() {
		var build, status string
		require.NoError(t, builds.Scan(&build, &status))
		stored[build] = status
	}
	require.NoError(t, builds.Err())
	for build := range f.Agent.Builds() {
		require.Equal(t, "ready", stored[build], "a host has a build that is not stored: %s", build)
		delete(stored, build)
	}
	require.Empty(t, stored, "the host has none of these")
}
