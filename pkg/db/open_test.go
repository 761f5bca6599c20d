package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

// TestOpen_NobodyMeetsAConnectionThatDied ends every connection of a pool, as a
// database that is started again does.
func TestOpen_NobodyMeetsAConnectionThatDied(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool, err := db.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	other, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close(context.Background())) })
	var ended bool
	const endAll = `SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`
	require.NoError(t, other.QueryRow(t.Context(), endAll).Scan(&ended))
	require.True(t, ended)
	<-time.After(100 * time.Millisecond) // idle for longer than it is trusted, shorter than the driver's own second
	_, err = pool.Exec(t.Context(), "SELECT 1")
	require.NoError(t, err)
}

func TestIsUnavailable_KnowsAConnectionThatEndsUnderAStatement(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	connection, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close(context.Background()) }) // it has ended
	_, err = connection.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
	require.True(t, db.IsUnavailable(err), "%v", err)
	_, err = connection.Exec(t.Context(), "SELECT 1")
	require.True(t, db.IsUnavailable(err), "%v", err)
}
