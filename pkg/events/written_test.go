package events_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

func exec(t *testing.T, pool *pgxpool.Pool, statement string, arguments ...any) {
	t.Helper()
	_, err := pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func newTeam(t *testing.T, pool *pgxpool.Pool) uuid.UUID {
	t.Helper()
	team := uuid.New()
	exec(t, pool, `INSERT INTO teams (id, slug, name) VALUES ($1, $2, 'Team')`, team, team.String())
	return team
}

// written returns the types of a team's events.
func written(t *testing.T, pool *pgxpool.Pool, team uuid.UUID) []events.Type {
	t.Helper()
	listed, err := events.NewLog(pool).After(t.Context(), team, 0, events.Filter{}, 100)
	require.NoError(t, err)
	kinds := []events.Type{}
	for _, event := range listed {
		kinds = append(kinds, event.Type)
	}
	return kinds
}

func TestEvents_AreWrittenForTemplates(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	team, build := newTeam(t, pool), uuid.New()
	exec(t, pool, `INSERT INTO templates (id, team_id) VALUES ('t1', $1)`, team)
	exec(t, pool, `INSERT INTO template_builds (id, template_id, status, vcpu_count, memory_mib, disk_mib, envd_version) VALUES ($1, 't1', 'building', 1, 1, 1, '')`, build)
	exec(t, pool, `UPDATE template_builds SET status = 'ready'`)
	exec(t, pool, `UPDATE templates SET spawn_count = 1`)
	exec(t, pool, `UPDATE templates SET public = true`)
	exec(t, pool, `DELETE FROM templates`)
	exec(t, pool, `INSERT INTO templates (id, team_id, snapshot_of) VALUES ('t2', $1, 'isandbox1')`, team)
	require.Equal(t, []events.Type{
		events.TemplateCreated, events.TemplateBuilt, events.TemplateUpdated, events.TemplateDeleted,
		events.SandboxSnapshotted, events.TemplateCreated,
	}, written(t, pool, team))
	exec(t, pool, `DELETE FROM teams WHERE id = $1`, team)
	require.Contains(t, written(t, pool, team), events.TemplateBuilt, "events outlive what they tell of")
}
