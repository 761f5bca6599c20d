package db_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

const (
	patience  = 10 * time.Second
	pollEvery = 20 * time.Millisecond
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func open(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func TestMigrate_ByReplicasThatStartTogetherHappensOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.EmptyURL(t)
	var starting sync.WaitGroup
	for range 3 {
		pool := open(t, url)
		starting.Go(func() { require.NoError(t, db.Migrate(context.Background(), pool)) })
	}
	starting.Wait()
	var versions int
	require.NoError(t, open(t, url).QueryRow(t.Context(), "SELECT count(*) FROM goose_db_version WHERE version_id = 1").Scan(&versions))
	require.Equal(t, 1, versions)
}

func TestMigrations_GoBackToNothingAndForwardAgain(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	require.NoError(t, db.Rollback(t.Context(), pool, 0))
	var left int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version')
		+ (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
		+ (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e')`).Scan(&left))
	require.Zero(t, left)
	require.NoError(t, db.Migrate(t.Context(), pool))
}

func TestClaimant_IsAliveAsLongAsItsConnection(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool := open(t, url)
	alive := func(id int32) (alive bool) {
		t.Helper()
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT claimant_alive($1)", id).Scan(&alive))
		return alive
	}
	claimant, err := db.NewClaimant(t.Context(), url, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		claimant.Hold(ctx)
	}()
	require.True(t, alive(claimant.ID()))
	require.False(t, alive(0))
	require.False(t, alive(claimant.ID()+1))

	// What broke is mended soon, and the number stays what it was.
	id := claimant.ID()
	var broken bool
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
		WHERE locktype = 'advisory' AND objid = $1::bigint::oid
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, id).Scan(&broken))
	require.True(t, broken)
	require.Eventually(t, func() bool { return alive(id) }, patience, pollEvery)
	require.Equal(t, id, claimant.ID())
	stop()
	<-ended
	require.Eventually(t, func() bool { return !alive(claimant.ID()) }, patience, pollEvery)
}

func TestIsUnavailable_KnowsADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	_, err := db.Open(t.Context(), "postgres:///x?host=/nonexistent")
	require.True(t, db.IsUnavailable(err), "%v", err)
	_, err = dbtest.Open(t).Exec(t.Context(), "SELECT nonsense")
	require.Error(t, err)
	require.False(t, db.IsUnavailable(err), "%v", err)
	require.False(t, db.IsUnavailable(context.DeadlineExceeded))
}
