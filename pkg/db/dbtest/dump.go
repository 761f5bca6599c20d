package dbtest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/postgres"
)

// DumpSchema returns the schema of a database as SQL, without what differs from
// one version of PostgreSQL to the next.
func DumpSchema(t testing.TB, url string) string {
	t.Helper()
	installation, err := postgres.FindInstallation()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), filepath.Join(installation.Bin, "pg_dump"),
		"--schema-only", "--no-owner", "--no-privileges", "--no-comments", "--exclude-table=goose_db_version*", "--dbname="+url)
	output, err := command.Output()
	require.NoError(t, err)
	var schema strings.Builder
	blank := true
	for line := range strings.Lines(string(output)) {
		if strings.HasPrefix(line, "--") || strings.HasPrefix(line, "SET ") || strings.HasPrefix(line, `\`) ||
			strings.HasPrefix(line, "SELECT pg_catalog.set_config(") {
			continue
		}
		if isBlank := strings.TrimSpace(line) == ""; !isBlank || !blank {
			schema.WriteString(line)
			blank = isBlank
		}
	}
	return strings.TrimRight(schema.String(), "\n") + "\n"
}
