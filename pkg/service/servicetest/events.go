package servicetest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// Told returns a team's events, each as its type, resource and data.
func Told(t *testing.T, pool *pgxpool.Pool, team uuid.UUID) []string {
	t.Helper()
	listed, err := events.NewLog(pool).After(t.Context(), team, 0, events.Filter{}, 1000)
	require.NoError(t, err)
	lines := []string{}
	for _, event := range listed {
		lines = append(lines, string(event.Type)+" "+event.ResourceID+" "+string(event.Data))
	}
	return lines
}
