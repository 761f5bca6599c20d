package service_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

// secondHost is another host of the same fleet.
func (f *fixture) secondHost(t *testing.T) (uuid.UUID, *hosttest.Agent) {
	t.Helper()
	row, err := f.Queries.EnsureHost(t.Context(), rows.EnsureHostParams{ID: uuid.New(), Name: "second"})
	require.NoError(t, err)
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := host.NewClient(agent.RPCSocket)
	t.Cleanup(client.Close)
	f.Hosts.(*service.Fleet).Put(row.ID, client)
	sync := &service.HostSync{Pool: f.pool, Host: client, HostID: row.ID, Sandboxes: f.Sandboxes, Log: f.Log}
	require.NoError(t, sync.Sync(t.Context()))
	return row.ID, agent
}

// limit lets a host be promised so many sandboxes of the base template.
func (f *fixture) limit(t *testing.T, hostID uuid.UUID, sandboxes int) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), `UPDATE host_loads SET vcpu_capacity = $2::bigint, memory_mib_capacity = $2::bigint * 512,
		disk_mib_capacity = $2::bigint * 409600 WHERE host_id = $1`, hostID, sandboxes)
	require.NoError(t, err)
}

// requireExactCounts compares what the triggers have counted with what is there.
func (f *fixture) requireExactCounts(t *testing.T) {
	t.Helper()
	var wrong int
	require.NoError(t, f.pool.QueryRow(t.Context(), `
		WITH held AS (
			SELECT host_id, coalesce(sum(vcpu_count) FILTER (WHERE occupies), 0) AS vcpus, coalesce(sum(memory_mib) FILTER (WHERE occupies), 0) AS memory,
				coalesce(sum(disk_mib), 0) AS disk, count(*) FILTER (WHERE occupies) AS machines
			FROM sandboxes WHERE state NOT IN ('killed', 'failed') GROUP BY host_id
		)
		SELECT count(*) FROM host_loads l LEFT JOIN held h USING (host_id)
		WHERE (l.vcpu_allocated, l.memory_mib_allocated, l.disk_mib_allocated, l.sandbox_count)
			<> (coalesce(h.vcpus, 0), coalesce(h.memory, 0), coalesce(h.disk, 0), coalesce(h.machines, 0))`).Scan(&wrong))
	require.Zero(t, wrong, "hosts whose counts are wrong")
	require.NoError(t, f.pool.QueryRow(t.Context(), `
		SELECT (SELECT sum(sandbox_count) FROM team_use) - (SELECT sum(sandbox_count) FROM host_loads)`).Scan(&wrong))
	require.Zero(t, wrong, "teams and hosts disagree")
	require.NoError(t, f.pool.QueryRow(t.Context(), `
		SELECT count(*) FROM sandboxes s FULL JOIN (SELECT sandbox_id FROM usage_intervals WHERE ended_at IS NULL) i ON i.sandbox_id = s.id
		WHERE (s.state IN ('running', 'pausing')) <> (i.sandbox_id IS NOT NULL)`).Scan(&wrong))
	require.Zero(t, wrong, "sandboxes whose usage is not counted, or counted though they do not run")
}

// Each caller has a scheduler of its own, as each control plane has.
func TestPlacement_ByManyControlPlanesNeverPromisesTheSameRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, _ := f.secondHost(t)
	f.limit(t, f.host, 5)
	f.limit(t, second, 7)
	var running sync.WaitGroup
	var mutex sync.Mutex
	codes := map[fault.Code]int{}
	for replica := range 4 {
		s := service.Sandboxes{
			Queries: f.Queries, Hosts: f.Hosts, Tokens: f.Tokens, Claimant: f.Claimant, MaxTimeout: f.MaxTimeout, Log: slog.New(slog.DiscardHandler),
			Placement: service.NewPlacement(f.pool, scheduler.NewSpread(rand.New(rand.NewPCG(uint64(replica), 1))), f.Log), //nolint:gosec // dice
		}
		for range 5 {
			running.Go(func() {
				_, err := s.Create(context.Background(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60})
				mutex.Lock()
				defer mutex.Unlock()
				codes[fault.CodeOf(err)]++
			})
		}
	}
	running.Wait()
	require.Equal(t, map[fault.Code]int{"": 12, fault.Exhausted: 8}, codes, "every room is used, and none twice")
	f.requireExactCounts(t)
}

func TestPlacement_KeepsAGroupApartBetweenControlPlanes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.secondHost(t)
	var running sync.WaitGroup
	var mutex sync.Mutex
	hosts := map[uuid.UUID]int{}
	for replica := range 4 {
		placement := service.NewPlacement(f.pool, scheduler.NewSpread(rand.New(rand.NewPCG(uint64(replica), 1))), f.Log) //nolint:gosec // dice
		running.Go(func() {
			placed, err := placement.Place(context.Background(), f.team, scheduler.Request{Group: "db", Rule: scheduler.Apart}, f.insertRow)
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

// insertRow stores a sandbox that no host is asked to make.
func (f *fixture) insertRow(ctx context.Context, queries *rows.Queries, hostID uuid.UUID) (rows.Sandbox, error) {
	return queries.CreateSandbox(ctx, rows.CreateSandboxParams{
		ID: "i" + uuid.NewString()[:8] + "00000000000", TeamID: f.team, HostID: hostID, TemplateID: "t", BuildID: uuid.New(),
		State: lifecycle.Creating, Claimant: f.Claimant.ID(), Metadata: map[string]string{}, VCPUCount: 1, MemoryMiB: 512, DiskMiB: 4096,
	})
}

func TestCreate_GoesToAnotherHostWhenOneHasLessRoomThanItPromised(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	second, agent := f.secondHost(t)
	f.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("no memory"))
		}
		return nil
	})
	for range 4 {
		require.Equal(t, second, f.create(t).HostID)
	}
	require.Len(t, agent.States(), 4)
	require.Empty(t, f.agent.States())
	f.requireExactCounts(t)
}

func TestCreate_SaysWhatTheOnlyHostIsShortOf(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("300 MiB of memory are missing"))
		}
		return nil
	})
	_, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.ErrorContains(t, err, "300 MiB of memory are missing")
}

func TestRoom_IsGivenBackByAPauseAndTakenByAResume(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.limit(t, f.host, 1)
	first := f.create(t)
	_, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.NoError(t, f.Pause(t.Context(), f.team, first.ID, service.PauseRequest{}))
	second := f.create(t)
	_, err = f.Resume(t.Context(), f.team, first.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.Equal(t, lifecycle.Paused, f.stored(t, first.ID).State)
	require.NoError(t, f.Kill(t.Context(), f.team, second.ID))
	_, err = f.Resume(t.Context(), f.team, first.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	f.requireExactCounts(t)
}

func TestRoom_OfAControlPlaneThatDiedIsGivenBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.limit(t, f.host, 1)
	_, err := f.Placement.Place(t.Context(), f.team, scheduler.Request{Needs: scheduler.Resources{VCPUs: 1, MemoryMiB: 512, DiskMiB: 1}}, f.insertRow)
	require.NoError(t, err)
	_, err = f.pool.Exec(t.Context(), "UPDATE sandboxes SET claimant = 1") // nobody holds its lock
	require.NoError(t, err)
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	f.create(t)
	f.requireExactCounts(t)
}

func TestCounts_StayExactThroughAnyLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's dice
	var ids []string
	for range 60 {
		if len(ids) == 0 || random.IntN(4) == 0 {
			ids = append(ids, f.create(t).ID)
		}
		sandboxID := ids[random.IntN(len(ids))]
		switch random.IntN(5) {
		case 0:
			_ = f.Kill(ctx, f.team, sandboxID)
		case 1:
			_ = f.Pause(ctx, f.team, sandboxID, service.PauseRequest{})
		case 2:
			_, _ = f.Resume(ctx, f.team, sandboxID, service.ResumeRequest{TimeoutSeconds: 60})
		case 3:
			f.agent.Put(sandboxID, seenGone)
			require.NoError(t, f.Sandboxes.Reconcile(ctx, f.host))
		default:
			f.agent.Put(sandboxID, seenPaused)
			require.NoError(t, f.Sandboxes.Reconcile(ctx, f.host))
		}
		f.requireExactCounts(t)
	}
}
