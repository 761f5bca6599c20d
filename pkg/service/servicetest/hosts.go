package servicetest

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

// What a host says of a sandbox.
const (
	SeenRunning = pb.SandboxState_SANDBOX_STATE_RUNNING
	SeenPaused  = pb.SandboxState_SANDBOX_STATE_PAUSED
	SeenPausing = pb.SandboxState_SANDBOX_STATE_PAUSING
	SeenFailed  = pb.SandboxState_SANDBOX_STATE_FAILED
	SeenGone    = pb.SandboxState_SANDBOX_STATE_GONE
)

// SecondHost is another host of the same fleet.
func (f *Fixture) SecondHost(t *testing.T) (uuid.UUID, *hosttest.Agent) {
	t.Helper()
	row, err := fleet.EnsureLocal(t.Context(), f.Pool, "second")
	require.NoError(t, err)
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := host.NewClient(agent.RPCSocket)
	t.Cleanup(client.Close)
	f.Hosts.Put(row.ID, client)
	sync := fleet.NewSync(f.Pool, row.ID, client, f.Service, f.Templates, f.Log, fleet.SyncOptions{})
	require.NoError(t, sync.Sync(t.Context()))
	return row.ID, agent
}

// Limit lets a host be promised so many sandboxes of the base template.
func (f *Fixture) Limit(t *testing.T, hostID uuid.UUID, sandboxes int) {
	t.Helper()
	_, err := f.Pool.Exec(t.Context(), `UPDATE host_loads SET vcpu_capacity = $2::bigint, memory_mib_capacity = $2::bigint * 512,
		disk_mib_capacity = $2::bigint * 409600 WHERE host_id = $1`, hostID, sandboxes)
	require.NoError(t, err)
}

// RequireExactCounts compares what the triggers have counted with what is there.
func (f *Fixture) RequireExactCounts(t *testing.T) {
	t.Helper()
	var wrong int
	require.NoError(t, f.Pool.QueryRow(t.Context(), `
		WITH held AS (
			SELECT host_id, coalesce(sum(vcpu_count) FILTER (WHERE occupies), 0) AS vcpus, coalesce(sum(memory_mib) FILTER (WHERE occupies), 0) AS memory,
				coalesce(sum(disk_mib), 0) AS disk, count(*) FILTER (WHERE occupies) AS machines
			FROM sandboxes WHERE state NOT IN ('killed', 'failed') GROUP BY host_id
		)
		SELECT count(*) FROM host_loads l LEFT JOIN held h USING (host_id)
		WHERE (l.vcpu_allocated, l.memory_mib_allocated, l.disk_mib_allocated, l.sandbox_count)
			<> (coalesce(h.vcpus, 0), coalesce(h.memory, 0), coalesce(h.disk, 0), coalesce(h.machines, 0))`).Scan(&wrong))
	require.Zero(t, wrong, "hosts whose counts are wrong")
	require.NoError(t, f.Pool.QueryRow(t.Context(), `
		SELECT (SELECT sum(sandbox_count) FROM team_use) - (SELECT sum(sandbox_count) FROM host_loads)`).Scan(&wrong))
	require.Zero(t, wrong, "teams and hosts disagree")
	require.NoError(t, f.Pool.QueryRow(t.Context(), `
		SELECT count(*) FROM sandboxes s FULL JOIN (SELECT sandbox_id FROM usage_intervals WHERE ended_at IS NULL) i ON i.sandbox_id = s.id
		WHERE (s.state IN ('running', 'pausing')) <> (i.sandbox_id IS NOT NULL)`).Scan(&wrong))
	require.Zero(t, wrong, "sandboxes whose usage is not counted, or counted though they do not run")
}
