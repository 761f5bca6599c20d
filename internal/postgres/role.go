package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// Role is the role of the control plane. It owns Database and everything in it, and
	// has no other rights.
	Role = "wrenn"
	// adminRole is the superuser that made the cluster. Only root may connect as it.
	adminRole = "postgres"
	// upgradeRole exists only while a cluster that Role made is upgraded.
	upgradeRole = "wrenn_upgrade"
)

// invalidAuthorization is PostgreSQL's error code for a role that does not exist, and
// for one that the caller may not connect as.
// Source: PostgreSQL's appendix A, error codes.
const invalidAuthorization = "28000"

// connectAsAdmin connects as the cluster's superuser. Earlier versions of Wrenn made
// clusters whose superuser is Role; it is renamed to adminRole first.
func (c Config) connectAsAdmin(ctx context.Context, database string) (*pgx.Conn, error) {
	connection, err := pgx.Connect(ctx, c.databaseURL(adminRole, database))
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != invalidAuthorization {
		return connection, err
	}
	if err := c.renameMaker(ctx); err != nil {
		return nil, fmt.Errorf("take the superuser's rights from %s: %w", Role, err)
	}
	return pgx.Connect(ctx, c.databaseURL(adminRole, database))
}

// renameMaker renames Role, which made the cluster, to adminRole. A role cannot rename
// itself, so upgradeRole does it; connectAsAdmin's caller drops that role. Each step can
// be repeated after a crash.
func (c Config) renameMaker(ctx context.Context) error {
	const makeRole = "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + upgradeRole + "') THEN " +
		"CREATE ROLE " + upgradeRole + " LOGIN SUPERUSER; END IF; END $$"
	if err := c.executeAs(ctx, Role, "postgres", makeRole); err != nil {
		return err
	}
	return c.executeAs(ctx, upgradeRole, "postgres", "ALTER ROLE "+Role+" RENAME TO "+adminRole)
}

func (c Config) executeAs(ctx context.Context, role, database, statement string) (err error) {
	connection, err := pgx.Connect(ctx, c.databaseURL(role, database))
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement)
	return errors.Join(err, connection.Close(context.WithoutCancel(ctx)))
}

// ensureDatabase makes Role and the database if they are missing, and makes Role the
// owner of objects that the superuser of an earlier version has made.
func (c Config) ensureDatabase(ctx context.Context) (err error) {
	connection, err := c.connectAsAdmin(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close(context.WithoutCancel(ctx))) }()
	const ensureRole = "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + Role + "') THEN CREATE ROLE " + Role + "; END IF; END $$"
	const limitRole = "ALTER ROLE " + Role + " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
	for _, statement := range []string{ensureRole, limitRole, "DROP ROLE IF EXISTS " + upgradeRole} {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the role %s: %w", Role, err)
		}
	}
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := connection.QueryRow(ctx, query, Database).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		_, err = connection.Exec(ctx, "CREATE DATABASE "+Database+" OWNER "+Role)
		return err
	}
	if _, err := connection.Exec(ctx, "ALTER DATABASE "+Database+" OWNER TO "+Role); err != nil {
		return err
	}
	if err := c.executeAs(ctx, adminRole, Database, handOver); err != nil {
		return fmt.Errorf("make %s the owner of the database: %w", Role, err)
	}
	return nil
}

// handOver makes Role the owner of adminRole's objects in a database, except the
// system's and those of PostgreSQL's extensions. REASSIGN OWNED cannot do this for the
// role that made the cluster. Sequences of columns follow their tables.
const handOver = `
DO $$
DECLARE statement text;
BEGIN
	FOR statement IN
		WITH outside AS (
			SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
		), maker AS (
			SELECT oid FROM pg_roles WHERE rolname = '` + adminRole + `'
		), dependent AS (
			SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
			UNION SELECT classid, objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
		), owned AS (
			SELECT 1 AS step, 'pg_namespace'::regclass AS class, oid AS object, format('SCHEMA %I', nspname) AS name
			FROM pg_namespace WHERE oid IN (TABLE outside) AND nspowner IN (TABLE maker)
			UNION ALL
			SELECT 2, 'pg_class'::regclass, oid, CASE relkind
				WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'f' THEN 'FOREIGN TABLE '
				ELSE 'TABLE ' END || oid::regclass
			FROM pg_class WHERE relnamespace IN (TABLE outside) AND relowner IN (TABLE maker) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
			UNION ALL
			SELECT 3, 'pg_type'::regclass, oid, 'TYPE ' || oid::regtype
			FROM pg_type WHERE typnamespace IN (TABLE outside) AND typowner IN (TABLE maker) AND (typtype IN ('e', 'd', 'r')
				OR typtype = 'c' AND EXISTS (SELECT FROM pg_class WHERE pg_class.oid = typrelid AND relkind = 'c'))
			UNION ALL
			SELECT 4, 'pg_proc'::regclass, oid, 'ROUTINE ' || oid::regprocedure
			FROM pg_proc WHERE pronamespace IN (TABLE outside) AND proowner IN (TABLE maker)
		)
		SELECT format('ALTER %s OWNER TO ` + Role + `', name) FROM owned
		WHERE (class, object) NOT IN (SELECT classid::regclass, objid FROM dependent) ORDER BY step
	LOOP
		EXECUTE statement;
	END LOOP;
END $$`
