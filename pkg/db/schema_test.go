package db_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

var update = flag.Bool("update", false, "write the schema's dump anew")

const schemaPath = "../../db/schema.sql"

func TestSchema_IsTheOneThatIsCommitted(t *testing.T) {
	t.Parallel()
	dumped := "-- The schema that all migrations lead to; make generate writes it.\n\n" + dbtest.DumpSchema(t, dbtest.URL(t))
	if *update {
		require.NoError(t, os.WriteFile(schemaPath, []byte(dumped), 0o644))
	}
	committed, err := os.ReadFile(schemaPath)
	require.NoError(t, err)
	require.Equal(t, string(committed), dumped, "a migration has changed the schema: run make generate")
}

func TestSchema_IsTheSameAfterGoingBackAndForward(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	before := dbtest.DumpSchema(t, url)
	pool := open(t, url)
	var newest int64
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&newest))
	for version := newest - 1; version >= 0; version-- {
		require.NoError(t, db.Rollback(t.Context(), pool, version))
	}
	require.NoError(t, db.Migrate(t.Context(), pool))
	require.Equal(t, before, dbtest.DumpSchema(t, url))
}
