package cpserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCreate_TellsWhatIsLeftOfTheTeamsCreatesAMinute(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	_, err := p.pool.Exec(t.Context(), `INSERT INTO team_limits (team_id, max_creates_per_minute) SELECT id, 2 FROM teams
		ON CONFLICT (team_id) DO UPDATE SET max_creates_per_minute = 2`)
	require.NoError(t, err)
	for _, want := range []struct {
		status          int
		remaining, wait string
	}{{http.StatusCreated, "1", "30"}, {http.StatusCreated, "0", "60"}, {http.StatusTooManyRequests, "0", "30"}} {
		got := p.do(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
		requireStatus(t, want.status, got)
		require.Equal(t, "2", got.header.Get("RateLimit-Limit"))
		require.Equal(t, want.remaining, got.header.Get("RateLimit-Remaining"))
		require.NotEmpty(t, got.header.Get("RateLimit-Reset"))
		require.LessOrEqual(t, len(got.header.Get("RateLimit-Reset")), len(want.wait))
	}
}
