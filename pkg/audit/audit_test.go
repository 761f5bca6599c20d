package audit_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func openLog(t *testing.T) (audit.Log, *pgxpool.Pool) {
	t.Helper()
	pool := dbtest.Open(t)
	return audit.NewLog(pool), pool
}

func write(t *testing.T, log audit.Log, team uuid.UUID, action, resource string, outcome audit.Outcome) {
	t.Helper()
	require.NoError(t, log.Append(t.Context(), audit.Entry{
		TeamID: team, Actor: audit.Actor{Kind: "api_key", ID: "key-" + resource}, Action: action,
		Resource: audit.Resource{Kind: "sandbox", ID: resource}, Outcome: outcome, Status: 200,
	}))
}

func TestList_SelectsByActorActionResourceOutcomeAndTime(t *testing.T) {
	t.Parallel()
	log, _ := openLog(t)
	team := uuid.New()
	write(t, log, team, "sandbox.create", "a", audit.Success)
	write(t, log, team, "sandbox.kill", "a", audit.Failure)
	write(t, log, team, "channel.create", "b", audit.Denied)
	write(t, log, uuid.New(), "sandbox.create", "a", audit.Success)
	for name, test := range map[string]struct {
		query audit.Query
		want  []string
	}{
		"all":       {audit.Query{}, []string{"channel.create", "sandbox.kill", "sandbox.create"}},
		"actor":     {audit.Query{ActorID: "key-b"}, []string{"channel.create"}},
		"action":    {audit.Query{Action: "sandbox.kill"}, []string{"sandbox.kill"}},
		"kind":      {audit.Query{Action: "sandbox.*"}, []string{"sandbox.kill", "sandbox.create"}},
		"resource":  {audit.Query{ResourceID: "b"}, []string{"channel.create"}},
		"outcome":   {audit.Query{Outcome: audit.Failure}, []string{"sandbox.kill"}},
		"long ago":  {audit.Query{Until: time.Now().Add(-time.Hour)}, []string{}},
		"not yet":   {audit.Query{Since: time.Now().Add(time.Hour)}, []string{}},
		"just now":  {audit.Query{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), Action: "channel.*"}, []string{"channel.create"}},
		"two of it": {audit.Query{Limit: 2}, []string{"channel.create", "sandbox.kill"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.query.TeamID = team
			if test.query.Limit == 0 {
				test.query.Limit = 10
			}
			entries, err := log.List(t.Context(), test.query)
			require.NoError(t, err)
			actions := []string{}
			for _, entry := range entries {
				actions = append(actions, entry.Action)
				require.WithinDuration(t, time.Now(), entry.At, time.Minute)
			}
			require.Equal(t, test.want, actions)
		})
	}
}

func TestLog_CannotBeChangedNorShortened(t *testing.T) {
	t.Parallel()
	log, pool := openLog(t)
	team := uuid.New()
	write(t, log, team, "sandbox.create", "a", audit.Success)
	for _, statement := range []string{
		"UPDATE audit_entries SET outcome = 'denied'", "DELETE FROM audit_entries", "TRUNCATE audit_entries",
	} {
		_, err := pool.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "append-only", statement)
	}
	_, err := pool.Exec(t.Context(), `INSERT INTO audit_entries (at, team_id, actor_kind, actor_id, actor_name, action,
		resource_kind, resource_id, outcome, status, address, user_agent, request_id)
		VALUES ('2000-01-01', $1, '', '', '', 'x.backdated', '', '', 'success', 0, '', '', '')`, team)
	require.NoError(t, err)
	entries, err := log.List(t.Context(), audit.Query{TeamID: team, Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.WithinDuration(t, time.Now(), entries[0].At, time.Minute, "the database says when")
}

func TestExpire_DeletesOnlyWhatIsOldEnoughForTheDatabase(t *testing.T) {
	t.Parallel()
	log, pool := openLog(t)
	team := uuid.New()
	for _, resource := range []string{"old", "recent", "new"} {
		write(t, log, team, "sandbox.create", resource, audit.Success)
	}
	_, err := pool.Exec(t.Context(), `ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_keep;
		UPDATE audit_entries SET at = now() - interval '40 days' WHERE resource_id = 'old';
		UPDATE audit_entries SET at = now() - interval '20 days' WHERE resource_id = 'recent';
		ALTER TABLE audit_entries ENABLE TRIGGER audit_entries_keep`)
	require.NoError(t, err)
	deleted, err := log.Expire(t.Context(), time.Now())
	require.NoError(t, err)
	require.EqualValues(t, 1, deleted)
	entries, err := log.List(t.Context(), audit.Query{TeamID: team, Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestAll_ReadsPageAfterPage(t *testing.T) {
	t.Parallel()
	log, pool := openLog(t)
	team := uuid.New()
	const many = 1100
	_, err := pool.Exec(t.Context(), `INSERT INTO audit_entries (at, team_id, actor_kind, actor_id, actor_name, action,
		resource_kind, resource_id, outcome, status, address, user_agent, request_id)
		SELECT now(), $1, 'session', '', '', 'sandbox.kill', 'sandbox', 'i' || n, 'success', 200, '', '', ''
		FROM generate_series(1, $2) n`, team, many)
	require.NoError(t, err)
	seen, last := map[string]bool{}, int64(math.MaxInt64)
	for entry, err := range log.All(t.Context(), audit.Query{TeamID: team, Limit: 3}) {
		require.NoError(t, err)
		require.Less(t, entry.ID, last)
		last = entry.ID
		seen[entry.Resource.ID] = true
	}
	require.Len(t, seen, many)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range log.All(ended, audit.Query{TeamID: team}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func TestAppend_BoundsAndCleansWhatAClientSends(t *testing.T) {
	t.Parallel()
	log, _ := openLog(t)
	team := uuid.New()
	require.NoError(t, log.Append(t.Context(), audit.Entry{
		TeamID: team, Action: "sandbox.kill", Outcome: audit.Denied,
		UserAgent: strings.Repeat("ä", 1000), Resource: audit.Resource{ID: "a\x00\xff"},
	}))
	entries, err := log.List(t.Context(), audit.Query{TeamID: team, Limit: 1})
	require.NoError(t, err)
	require.LessOrEqual(t, len(entries[0].UserAgent), 256)
	require.Equal(t, "a\uFFFD\uFFFD", entries[0].Resource.ID)
}

func TestDraft_TakesWhatHandlersAdd(t *testing.T) {
	t.Parallel()
	key, team := uuid.New(), uuid.New()
	ctx, draft := audit.WithDraft(t.Context())
	audit.SetPrincipal(ctx, auth.Principal{Kind: auth.ByKey, KeyID: key, TeamID: team})
	audit.SetResource(ctx, "isandbox1")
	audit.SetDetails(ctx, map[string]string{"template": "base"})
	entry, principal := draft.Entry()
	require.Equal(t, audit.Actor{Kind: "api_key", ID: key.String()}, entry.Actor)
	require.Equal(t, team, entry.TeamID)
	require.Equal(t, "isandbox1", entry.Resource.ID)
	require.JSONEq(t, `{"template": "base"}`, string(entry.Details))
	require.Equal(t, key, principal.KeyID)
	audit.SetActor(ctx, audit.Actor{Kind: "session", ID: "u", Name: "ada@example.com"})
	audit.SetTeam(ctx, uuid.Nil)
	entry, _ = draft.Entry()
	require.Equal(t, "ada@example.com", entry.Actor.Name)
	audit.SetResource(t.Context(), "a context without a draft")
	require.Equal(t, "unknown", audit.ActorOf(auth.Principal{}).Kind)
}
