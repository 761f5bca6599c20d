package events_test

import (
	"encoding/json"
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

func TestEvents_AreWrittenForEachStepOfASandbox(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	host := uuid.New()
	exec(t, pool, `INSERT INTO hosts (id, name) VALUES ($1, 'host')`, host)
	for name, test := range map[string]struct {
		steps []string // each a state, with a reason behind a slash
		want  []events.Type
	}{
		"a whole life": {
			[]string{"running", "pausing", "paused", "resuming", "running", "killing", "killed/killed by its team"},
			[]events.Type{events.SandboxStarted, events.SandboxPaused, events.SandboxResumed, events.SandboxKilled},
		},
		"its time is over":      {[]string{"running", "killing", "killed/its time was over"}, []events.Type{events.SandboxStarted, events.SandboxExpired}},
		"somebody else ends it": {[]string{"running", "killing/its time was over", "killed"}, []events.Type{events.SandboxStarted, events.SandboxExpired}},
		"never ran":             {[]string{"failed/not created"}, []events.Type{events.SandboxFailed}},
		"breaks":                {[]string{"running", "paused", "broken/no disk"}, []events.Type{events.SandboxStarted, events.SandboxPaused, events.SandboxFailed}},
		"breaks and mends":      {[]string{"running", "broken/no disk", "paused", "broken", "running"}, []events.Type{events.SandboxStarted, events.SandboxFailed, events.SandboxPaused, events.SandboxFailed, events.SandboxResumed}},
		"given up":              {[]string{"killing/not created", "killed/not created"}, []events.Type{events.SandboxFailed}},
		"a pause that failed":   {[]string{"running", "pausing", "running"}, []events.Type{events.SandboxStarted}},
		"a resume that failed":  {[]string{"running", "paused", "resuming", "paused"}, []events.Type{events.SandboxStarted, events.SandboxPaused}},
		"paused by its host":    {[]string{"running", "paused", "running"}, []events.Type{events.SandboxStarted, events.SandboxPaused, events.SandboxResumed}},
		"the same again":        {[]string{"running", "running"}, []events.Type{events.SandboxStarted}},
	} {
		team, id := newTeam(t, pool), "i"+uuid.NewString()[:8]
		exec(t, pool, `INSERT INTO sandboxes (id, team_id, host_id, template_id, build_id, state, end_at, auto_pause, vcpu_count, memory_mib, disk_mib, envd_version)
			VALUES ($1, $2, $3, 'base', $4, 'creating', now(), false, 1, 1, 1, '')`, id, team, host, uuid.New())
		for _, step := range test.steps {
			exec(t, pool, `UPDATE sandboxes SET state = split_part($2, '/', 1), reason = split_part($2, '/', 2) WHERE id = $1`, id, step)
		}
		require.Equal(t, append([]events.Type{events.SandboxCreated}, test.want...), written(t, pool, team), name)
	}
}

func TestEvents_TellHowASandboxIs(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	host, team := uuid.New(), newTeam(t, pool)
	exec(t, pool, `INSERT INTO hosts (id, name) VALUES ($1, 'host')`, host)
	exec(t, pool, `INSERT INTO sandboxes (id, team_id, host_id, template_id, build_id, state, end_at, auto_pause, vcpu_count, memory_mib, disk_mib, envd_version, metadata)
		VALUES ('isandbox1', $1, $2, 'base', $3, 'running', now(), false, 2, 512, 1, '', '{"user": "ada"}')`, team, host, uuid.New())
	exec(t, pool, `UPDATE sandboxes SET end_at = end_at + interval '1 minute'`)
	exec(t, pool, `UPDATE sandboxes SET end_at = end_at, claimant = 1`)
	listed, err := events.NewLog(pool).After(t.Context(), team, 0, events.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, listed, 2)
	require.Equal(t, events.SandboxUpdated, listed[1].Type)
	require.Equal(t, "isandbox1", listed[1].ResourceID)
	var data struct {
		State, TemplateID string
		MemoryMB          int
		Metadata          map[string]string
	}
	require.NoError(t, json.Unmarshal(listed[1].Data, &data))
	require.Equal(t, "running", data.State)
	require.Equal(t, "base", data.TemplateID)
	require.Equal(t, 512, data.MemoryMB)
	require.Equal(t, "ada", data.Metadata["user"])
}

func TestEvents_AreWrittenForTemplatesAndChannels(t *testing.T) {
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
	exec(t, pool, `INSERT INTO channels (id, team_id, kind, name, target, sealed_config) VALUES ($1, $2, 'webhook', 'hook', 'x', '')`, uuid.New(), team)
	exec(t, pool, `UPDATE channels SET enabled = false`)
	exec(t, pool, `DELETE FROM channels`)
	require.Equal(t, []events.Type{
		events.TemplateCreated, events.TemplateBuilt, events.TemplateUpdated, events.TemplateDeleted,
		events.SandboxSnapshotted, events.TemplateCreated,
		events.ChannelCreated, events.ChannelUpdated, events.ChannelDeleted,
	}, written(t, pool, team))
	exec(t, pool, `DELETE FROM teams WHERE id = $1`, team)
	require.Contains(t, written(t, pool, team), events.TemplateBuilt, "events outlive what they tell of")
}

func TestEvents_TellOfForksOnceTheyRun(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	host, team := uuid.New(), newTeam(t, pool)
	exec(t, pool, `INSERT INTO hosts (id, name) VALUES ($1, 'host')`, host)
	for _, fork := range []string{"ifork0001", "ifork0002"} {
		exec(t, pool, `INSERT INTO sandboxes (id, team_id, host_id, template_id, build_id, state, end_at, auto_pause, vcpu_count, memory_mib, disk_mib, envd_version, forked_from)
			VALUES ($1, $2, $3, 'base', $4, 'creating', now(), false, 1, 1, 1, '', 'iparent01')`, fork, team, host, uuid.New())
	}
	exec(t, pool, `UPDATE sandboxes SET state = 'running' WHERE id = 'ifork0001'`)
	exec(t, pool, `UPDATE sandboxes SET state = 'failed' WHERE id = 'ifork0002'`)
	ofParent, err := events.NewLog(pool).After(t.Context(), team, 0, events.Filter{ResourceID: "iparent01"}, 10)
	require.NoError(t, err)
	require.Len(t, ofParent, 1)
	require.Equal(t, events.SandboxForked, ofParent[0].Type)
	require.JSONEq(t, `{"forkID": "ifork0001"}`, string(ofParent[0].Data))
}

func TestEvents_AreWrittenForSecretsAndVolumes(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	team, host := newTeam(t, pool), uuid.New()
	exec(t, pool, `INSERT INTO secrets (id, team_id, name, sealed_value) VALUES ('sec_' || repeat('a', 20), $1, 'token', '')`, team)
	exec(t, pool, `UPDATE secrets SET version = 2`)
	exec(t, pool, `DELETE FROM secrets`)
	require.Equal(t, []events.Type{events.SecretCreated, events.SecretUpdated, events.SecretDeleted}, written(t, pool, team))

	other := newTeam(t, pool)
	exec(t, pool, `INSERT INTO hosts (id, name) VALUES ($1, 'host')`, host)
	exec(t, pool, `INSERT INTO volumes (id, team_id, host_id, name, deleting) SELECT 'volume' || n, $1, $2, 'data', true FROM generate_series(100, 102) n`, other, host)
	exec(t, pool, `DELETE FROM volumes WHERE id = 'volume100'`)
	require.Empty(t, written(t, pool, other), "nobody could use it yet")
	exec(t, pool, `UPDATE volumes SET deleting = false WHERE id = 'volume101'`)
	exec(t, pool, `UPDATE volumes SET deleting = true WHERE id = 'volume101'`)
	exec(t, pool, `UPDATE volumes SET deleting = false WHERE id = 'volume102'`)
	exec(t, pool, `DELETE FROM volumes`)
	require.Equal(t, []events.Type{
		events.VolumeCreated, events.VolumeDeleted, events.VolumeCreated, events.VolumeDeleted,
	}, written(t, pool, other), "one was deleted, the other lost with its host")
}

func TestEvents_AreWrittenForHosts(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	exec(t, pool, `INSERT INTO hosts (id, name) VALUES ($1, 'host')`, uuid.New())
	for _, state := range []string{"ready", "ready", "draining", "unreachable", "retired"} {
		exec(t, pool, `UPDATE hosts SET state = $1`, state)
	}
	require.Equal(t, []events.Type{
		events.HostRegistered, events.HostReady, events.HostDraining, events.HostUnreachable, events.HostRetired,
	}, written(t, pool, events.Installation))
}
