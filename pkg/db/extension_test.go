package db_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

func TestMigrateExtension_KeepsAHistoryOfItsOwn(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	tables := func() (count int) {
		t.Helper()
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'kept_by_%'").Scan(&count))
		return count
	}
	files := func(name string) fstest.MapFS {
		return fstest.MapFS{"00001_first.sql": {Data: []byte(
			"-- +goose Up\nCREATE TABLE kept_by_" + name + " (id int);\n-- +goose Down\nDROP TABLE kept_by_" + name + ";\n")}}
	}
	for range 2 { // as often as a server starts
		require.NoError(t, db.MigrateExtension(t.Context(), pool, "one", files("one")))
		require.NoError(t, db.MigrateExtension(t.Context(), pool, "two", files("two")))
	}
	require.Equal(t, 2, tables())
	require.NoError(t, db.RollbackExtension(t.Context(), pool, "one", files("one"), 0))
	require.Equal(t, 1, tables())
	require.NoError(t, db.Migrate(t.Context(), pool), "the core's history is as it was")

	wrong := fstest.MapFS{"00001_wrong.sql": {Data: []byte("-- +goose Up\nCREATE TABLE kept_by_three (id nothing);\n")}}
	require.ErrorContains(t, db.MigrateExtension(t.Context(), pool, "three", wrong), "extension three")
	require.Equal(t, 1, tables())
}
