package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// requireNoRights wants a connection's role to be nothing but an owner of its database.
func requireNoRights(t *testing.T, connection *pgx.Conn) {
	t.Helper()
	var super, createsRoles, createsDatabases, replicates, bypasses bool
	require.NoError(t, connection.QueryRow(t.Context(),
		"SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = current_user").
		Scan(&super, &createsRoles, &createsDatabases, &replicates, &bypasses))
	require.Equal(t, [5]bool{}, [5]bool{super, createsRoles, createsDatabases, replicates, bypasses})
	_, err := connection.Exec(t.Context(), "COPY (SELECT 1) TO PROGRAM 'true'")
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "42501", refused.Code)
}

func TestStart_GivesTheControlPlaneARoleWithoutRights(t *testing.T) {
	t.Parallel()
	server := start(t, newConfig(t))
	requireNoRights(t, connect(t, server.URL()))
	pool, err := db.Open(t.Context(), server.URL())
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, db.Migrate(t.Context(), pool), "the job queue's part among it")
	requireHears(t, server.URL())
}

// requireHears sends a notification and waits for it.
func requireHears(t *testing.T, address string) {
	t.Helper()
	listener, sender := connect(t, address), connect(t, address)
	_, err := listener.Exec(t.Context(), "LISTEN heard")
	require.NoError(t, err)
	_, err = sender.Exec(t.Context(), "NOTIFY heard, 'this'")
	require.NoError(t, err)
	notification, err := listener.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, "this", notification.Payload)
}

// TestStart_TakesTheRightsOfASuperuser makes a cluster what it was when the control
// plane's role had made it, and upgrades it, each step again as after a crash.
func TestStart_TakesTheRightsOfASuperuser(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	server := start(t, config)
	ctx := t.Context()
	require.NoError(t, config.executeAs(ctx, adminRole, "postgres", "CREATE ROLE "+upgradeRole+" LOGIN SUPERUSER"))
	require.NoError(t, config.executeAs(ctx, upgradeRole, "postgres", "ALTER DATABASE "+Database+" OWNER TO "+adminRole+"; DROP ROLE "+Role))
	require.NoError(t, config.executeAs(ctx, upgradeRole, "postgres", "ALTER ROLE "+adminRole+" RENAME TO "+Role))
	require.NoError(t, config.executeAs(ctx, Role, "postgres", "DROP ROLE "+upgradeRole))
	pool, err := db.Open(ctx, server.URL())
	require.NoError(t, err)
	require.NoError(t, db.Migrate(ctx, pool))
	_, err = pool.Exec(ctx, `CREATE SCHEMA other; CREATE TABLE other."Kept" (id serial, other int GENERATED ALWAYS AS IDENTITY);
		INSERT INTO other."Kept" DEFAULT VALUES; CREATE SEQUENCE alone; CREATE VIEW seen AS SELECT 1; CREATE DOMAIN short AS text;
		CREATE TYPE pair AS (a int, b int); CREATE FUNCTION one(text, int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'`)
	require.NoError(t, err)
	pool.Close()
	require.NoError(t, server.Stop(ctx))

	server = start(t, config)
	for range 2 {
		connection := connect(t, server.URL())
		requireNoRights(t, connection)
		_, err = connection.Exec(ctx, `INSERT INTO other."Kept" DEFAULT VALUES; ALTER TABLE other."Kept" ADD COLUMN more text; DROP SCHEMA other CASCADE;
			DROP SEQUENCE alone; DROP VIEW seen; DROP DOMAIN short; DROP TYPE pair; DROP FUNCTION one(text, int[])`)
		require.NoError(t, err)
		pool, err := db.Open(ctx, server.URL())
		require.NoError(t, err)
		require.NoError(t, db.Rollback(ctx, pool, 0), "it owns all that the superuser made")
		require.NoError(t, db.Migrate(ctx, pool))
		_, err = pool.Exec(ctx, `CREATE SCHEMA other; CREATE TABLE other."Kept" (id serial); CREATE SEQUENCE alone; CREATE VIEW seen AS SELECT 1;
			CREATE DOMAIN short AS text; CREATE TYPE pair AS (a int, b int); CREATE FUNCTION one(text, int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'`)
		require.NoError(t, err)
		pool.Close()
		require.NoError(t, config.ensureDatabase(context.WithoutCancel(ctx)))
	}
}
