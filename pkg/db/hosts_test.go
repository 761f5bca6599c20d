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
