package events_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

func TestSubscribe_HandsOutWhatTheFilterSelects(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	bus, _ := startBus(t, pool)
	mine, others := uuid.New(), uuid.New()
	all := bus.Subscribe(t.Context(), events.Filter{})
	ofTeam := bus.Subscribe(t.Context(), events.Filter{TeamID: &mine, Types: []string{"sandbox.*"}})
	ofOne := bus.Subscribe(t.Context(), events.Filter{ResourceID: "b", Types: []string{"sandbox.paused"}})
	record(t, pool, others, events.SandboxPaused, "a")
	record(t, pool, mine, events.TemplateBuilt, "t")
	record(t, pool, mine, events.SandboxStarted, "b")
	record(t, pool, mine, events.SandboxPaused, "b")
	for _, want := range []string{"a", "t", "b", "b"} {
		require.Equal(t, want, next(t, all).ResourceID)
	}
	started, paused := next(t, ofTeam), next(t, ofTeam)
	require.Equal(t, events.SandboxStarted, started.Type)
	require.Equal(t, events.SandboxPaused, paused.Type)
	require.Greater(t, paused.ID, started.ID)
	require.Equal(t, mine, paused.TeamID)
	require.JSONEq(t, "{}", string(paused.Data))
	require.Equal(t, paused, next(t, ofOne))
}

func TestBus_HandsOutNothingOfATransactionThatIsUndone(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	bus, _ := startBus(t, pool)
	subscription := bus.Subscribe(t.Context(), events.Filter{})
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, events.Record(t.Context(), tx, uuid.New(), events.KeyCreated, "undone", nil))
	require.NoError(t, tx.Rollback(t.Context()))
	record(t, pool, uuid.New(), events.KeyCreated, "done")
	require.Equal(t, "done", next(t, subscription).ResourceID)
}

// A transaction that gets its ID first and commits last is what following a
// sequence would miss.
func TestBus_HandsOutATransactionThatIsOvertakenByAnother(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	bus, _ := startBus(t, pool)
	subscription := bus.Subscribe(t.Context(), events.Filter{})
	slow, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = slow.Rollback(context.Background()) }()
	require.NoError(t, events.Record(t.Context(), slow, uuid.New(), events.KeyCreated, "slow", nil))
	record(t, pool, uuid.New(), events.KeyCreated, "fast")
	fast := next(t, subscription)
	require.Equal(t, "fast", fast.ResourceID)
	require.NoError(t, slow.Commit(t.Context()))
	overtaken := next(t, subscription)
	require.Equal(t, "slow", overtaken.ResourceID)
	require.Less(t, overtaken.ID, fast.ID)
}

func TestBus_KeepsTheOrderOfEachTeamAndLosesNothing(t *testing.T) {
	t.Parallel()
	const teams, writers, each = 3, 4, 5
	pool := dbtest.Open(t)
	bus, _ := startBus(t, pool)
	subscription := bus.Subscribe(t.Context(), events.Filter{})
	var writing sync.WaitGroup
	for range teams {
		team := uuid.New()
		for writer := range writers {
			writing.Go(func() {
				for i := range each {
					err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
						return events.Record(context.Background(), tx, team, events.KeyUpdated, fmt.Sprintf("%d-%d", writer, i), nil)
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	last, seen := map[uuid.UUID]int64{}, map[string]bool{}
	for range teams * writers * each {
		event := next(t, subscription)
		require.Greater(t, event.ID, last[event.TeamID])
		last[event.TeamID] = event.ID
		seen[event.TeamID.String()+event.ResourceID] = true
	}
	writing.Wait()
	require.Len(t, seen, teams*writers*each)
}

func TestSubscribe_TellsASlowSubscriberThatItMissedEvents(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	bus, _ := startBus(t, pool)
	slow := bus.Subscribe(t.Context(), events.Filter{Types: []string{"key.updated"}})
	quick := bus.Subscribe(t.Context(), events.Filter{Types: []string{"host.*"}})
	team := uuid.New()
	_, err := pool.Exec(t.Context(), `INSERT INTO events (id, team_id, type, resource_id)
		SELECT 0, $1, 'key.updated', 'x' FROM generate_series(1, 1000)`, team)
	require.NoError(t, err)
	record(t, pool, team, events.HostReady, "h")
	require.Equal(t, "h", next(t, quick).ResourceID)
	before := awaitEnd(t, slow)
	require.ErrorIs(t, slow.Err(), events.ErrTooSlow)
	require.Less(t, before, 1000)
	missed, err := events.NewLog(pool).After(t.Context(), team, 0, events.Filter{}, 2000)
	require.NoError(t, err)
	require.Len(t, missed, 1001)
}

func TestSubscribe_EndsWithItsContextAndWithTheBus(t *testing.T) {
	t.Parallel()
	bus, stop := startBus(t, dbtest.Open(t))
	ctx, cancel := context.WithCancel(t.Context())
	withContext, withBus := bus.Subscribe(ctx, events.Filter{}), bus.Subscribe(t.Context(), events.Filter{})
	cancel()
	awaitEnd(t, withContext)
	require.ErrorIs(t, withContext.Err(), context.Canceled)
	stop()
	awaitEnd(t, withBus)
	require.ErrorIs(t, withBus.Err(), events.ErrStopped)
	late := bus.Subscribe(t.Context(), events.Filter{})
	awaitEnd(t, late)
	require.ErrorIs(t, late.Err(), events.ErrStopped)
}

func TestBus_GoesOnAfterItsConnectionBroke(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	bus, _ := startBus(t, pool)
	subscription := bus.Subscribe(t.Context(), events.Filter{})
	record(t, pool, uuid.New(), events.KeyCreated, "before")
	require.Equal(t, "before", next(t, subscription).ResourceID)
	_, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'`)
	require.NoError(t, err)
	record(t, pool, uuid.New(), events.KeyCreated, "after")
	require.Equal(t, "after", next(t, subscription).ResourceID)
}
