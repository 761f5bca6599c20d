package placement_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// Each caller has a scheduler of its own, as each control plane has.
func TestPlacement_ByManyControlPlanesNeverPromisesTheSameRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, _ := f.SecondHost(t)
	f.Limit(t, f.Host, 5)
	f.Limit(t, second, 7)
	var running sync.WaitGroup
	var mutex sync.Mutex
	codes := map[fault.Code]int{}
	for replica := range 4 {
		chooser := scheduler.NewSpread(rand.New(rand.NewPCG(uint64(replica), 1))) //nolint:gosec // dice
		s := f.WithPlacement(placement.New(f.Pool, chooser, f.Log))
		for range 5 {
			running.Go(func() {
				_, err := s.Create(context.Background(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
				mutex.Lock()
				defer mutex.Unlock()
				codes[fault.CodeOf(err)]++
			})
		}
	}
	running.Wait()
	require.Equal(t, map[fault.Code]int{"": 12, fault.Exhausted: 8}, codes, "every room is used, and none twice")
	f.RequireExactCounts(t)
}

func TestPlacement_KeepsAGroupApartBetweenControlPlanes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SecondHost(t)
	var running sync.WaitGroup
	var mutex sync.Mutex
	hosts := map[uuid.UUID]int{}
	for replica := range 4 {
		placement := placement.New(f.Pool, scheduler.NewSpread(rand.New(rand.NewPCG(uint64(replica), 1))), f.Log) //nolint:gosec // dice
		running.Go(func() {
			placed, err := placement.Place(context.Background(), f.Team, scheduler.Request{Group: "db", Rule: scheduler.Apart}, f.insert)
			mutex.Lock()
			defer mutex.Unlock()
			if err == nil {
				hosts[placed.HostID]++
			}
		})
	}
	running.Wait()
	require.Len(t, hosts, 2)
	for _, members := range hosts {
		require.Equal(t, 1, members)
	}
}

// insert stores a sandbox of a group that no host is asked to create.
func (f fixture) insert(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) (sandbox.Sandbox, error) {
	return store.NewSandboxes(tx).Insert(ctx, sandbox.Sandbox{
		ID: id.NewSandbox(), TeamID: f.Team, HostID: hostID, TemplateID: "t", BuildID: uuid.New(), PlacementGroup: "db",
		State: sandbox.Creating, Claimant: f.Claimant.ID(), VCPUCount: 1, MemoryMiB: 512, DiskMiB: 4096,
	})
}

func TestCreate_GoesToAnotherHostWhenOneHasLessRoomThanItPromised(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, agent := f.SecondHost(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("no memory"))
		}
		return nil
	})
	for range 4 {
		require.Equal(t, second, f.Start(t).HostID)
	}
	require.Len(t, agent.States(), 4)
	require.Empty(t, f.Agent.States())
	f.RequireExactCounts(t)
}

func TestCreate_SaysWhatTheOnlyHostIsShortOf(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("300 MiB of memory are missing"))
		}
		return nil
	})
	_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.ErrorContains(t, err, "300 MiB of memory are missing")
}

func TestRoom_IsGivenBackByAPauseAndTakenByAResume(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Limit(t, f.Host, 1)
	first := f.Start(t)
	_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.NoError(t, f.Pause(t.Context(), f.Team, first.ID, sandbox.Pause{}))
	second := f.Start(t)
	_, err = f.Resume(t.Context(), f.Team, first.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.Equal(t, sandbox.Paused, f.Stored(t, first.ID).State)
	require.NoError(t, f.Kill(t.Context(), f.Team, second.ID))
	_, err = f.Resume(t.Context(), f.Team, first.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	f.RequireExactCounts(t)
}

func TestRoom_OfAControlPlaneThatDiedIsGivenBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Limit(t, f.Host, 1)
	_, err := f.Placement.Place(t.Context(), f.Team, scheduler.Request{Needs: scheduler.Resources{VCPUs: 1, MemoryMiB: 512, DiskMiB: 1}}, f.insert)
	require.NoError(t, err)
	_, err = f.Pool.Exec(t.Context(), "UPDATE sandboxes SET claimant = 1") // nobody holds its lock
	require.NoError(t, err)
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	f.Start(t)
	f.RequireExactCounts(t)
}

func TestCounts_StayExactThroughAnyLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's dice
	var ids []string
	for range 60 {
		if len(ids) == 0 || random.IntN(4) == 0 {
			ids = append(ids, f.Start(t).ID)
		}
		sandboxID := ids[random.IntN(len(ids))]
		switch random.IntN(5) {
		case 0:
			_ = f.Kill(ctx, f.Team, sandboxID)
		case 1:
			_ = f.Pause(ctx, f.Team, sandboxID, sandbox.Pause{})
		case 2:
			_, _ = f.Resume(ctx, f.Team, sandboxID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
		case 3:
			f.Agent.Put(sandboxID, servicetest.SeenGone)
			require.NoError(t, f.Service.Reconcile(ctx, f.Host))
		default:
			f.Agent.Put(sandboxID, servicetest.SeenPaused)
			require.NoError(t, f.Service.Reconcile(ctx, f.Host))
		}
		f.RequireExactCounts(t)
	}
}
