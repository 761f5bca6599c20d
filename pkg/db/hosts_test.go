package db_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

func TestMigrations_CountWhatSandboxesHeldBeforeAnybodyCounted(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	ctx := t.Context()
	require.NoError(t, db.Rollback(ctx, pool, 3))
	team, host := uuid.New(), uuid.New()
	_, err := pool.Exec(ctx, "INSERT INTO teams (id, slug, name) VALUES ($1, 'a', 'A')", team)
	require.NoError(t, err)
	_, err = pool.Exec(ctx, "INSERT INTO hosts (id, name) VALUES ($1, 'local')", host)
	require.NoError(t, err)
	for _, state := range []string{"running", "paused", "killed", "pausing"} {
		_, err = pool.Exec(ctx, `INSERT INTO sandboxes (id, team_id, host_id, template_id, build_id, state, end_at, auto_pause, vcpu_count, memory_mib, disk_mib, envd_version)
			VALUES ('i' || $3::text || '0000000000', $1, $2, 't', $1, $3::text, now(), false, 2, 512, 1000, '')`, team, host, state)
		require.NoError(t, err)
	}
	require.NoError(t, db.Migrate(ctx, pool))
	for _, question := range []string{
		"SELECT vcpu_allocated = 4 AND memory_mib_allocated = 1024 AND disk_mib_allocated = 3000 AND sandbox_count = 2 FROM host_loads",
		"SELECT vcpu_count = 4 AND memory_mib = 1024 AND disk_mib = 3000 AND sandbox_count = 2 FROM team_use",
		"SELECT count(*) = 2 FROM usage_intervals WHERE ended_at IS NULL",
		"SELECT state = 'pending' FROM hosts",
	} {
		var right bool
		require.NoError(t, pool.QueryRow(ctx, question).Scan(&right))
		require.True(t, right, question)
	}
}

// 00045 puts the functions that count into one; its way down must bring them back.
func TestRollback_OfTheFunctionsThatCountKeepsCounting(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	ctx := t.Context()
	const before = 44
	team, host := uuid.New(), uuid.New()
	_, err := pool.Exec(ctx, "INSERT INTO teams (id, slug, name) VALUES ($1, 'a', 'A')", team)
	require.NoError(t, err)
	_, err = pool.Exec(ctx, "INSERT INTO hosts (id, name) VALUES ($1, 'local')", host)
	require.NoError(t, err)
	insert := func(id, state string) {
		t.Helper()
		_, err := pool.Exec(ctx, `INSERT INTO sandboxes (id, team_id, host_id, template_id, build_id, state, end_at, auto_pause, vcpu_count, memory_mib, disk_mib, envd_version)
			VALUES ($3, $1, $2, 't', $1, $4, now(), false, 2, 512, 1000, '')`, team, host, id, state)
		require.NoError(t, err)
	}
	change := func(id, state string) {
		t.Helper()
		_, err := pool.Exec(ctx, "UPDATE sandboxes SET state = $2, end_cause = CASE WHEN $2 = 'killed' THEN 'killed' ELSE '' END WHERE id = $1", id, state)
		require.NoError(t, err)
	}
	requireCounts := func(when string, machines, disk, ran int) {
		t.Helper()
		var right bool
		require.NoError(t, pool.QueryRow(ctx, `SELECT
			(SELECT (sandbox_count, vcpu_count, memory_mib, disk_mib) = ($1::int, 2 * $1::int, 512 * $1::int, $2::int) FROM team_use WHERE team_id = $4)
			AND (SELECT (sandbox_count, vcpu_allocated, memory_mib_allocated, disk_mib_allocated) = ($1::int, 2 * $1::int, 512 * $1::int, $2::int) FROM host_loads WHERE host_id = $5)
			AND (SELECT count(*) = $3::int FROM usage_intervals WHERE ended_at IS NULL)`, machines, disk, ran, team, host).Scan(&right))
		require.True(t, right, when)
	}
	insert("i00000000000000000001", "running")
	insert("i00000000000000000002", "paused")
	requireCounts("after inserts", 1, 2000, 1)

	require.NoError(t, db.Rollback(ctx, pool, before))
	requireCounts("after the way down", 1, 2000, 1)
	insert("i00000000000000000003", "running")
	requireCounts("after an insert below", 2, 3000, 2)
	change("i00000000000000000001", "paused")
	requireCounts("after a pause below", 1, 3000, 1)
	change("i00000000000000000002", "killed")
	requireCounts("after a kill below", 1, 2000, 1)
	var living bool
	require.NoError(t, pool.QueryRow(ctx, "SELECT claimant_alive(7)").Scan(&living))
	require.False(t, living, "no process holds the lock of claimant 7")

	require.NoError(t, db.Migrate(ctx, pool))
	change("i00000000000000000003", "paused")
	requireCounts("after the way up again", 0, 2000, 0)
}
