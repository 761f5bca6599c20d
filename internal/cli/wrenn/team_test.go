package wrenn

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

func TestTeam_IsFoundByIDSlugOrName(t *testing.T) {
	teams := []teamInfo{
		{TeamID: "t1", Slug: "default", Name: "Default", Isolation: "any"},
		{TeamID: "t2", Slug: "t2", Name: "Science", Isolation: "vm"},
		{TeamID: "t3", Slug: "t3", Name: "Science", Isolation: "any"},
	}
	var changed string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			body, _ := io.ReadAll(r.Body)
			changed = r.URL.Path + " " + string(body)
			answer(w, http.StatusOK, teamInfo{TeamID: "t1", Name: "Default", Isolation: "vm"})
			return
		}
		answer(w, http.StatusOK, teams)
	}))
	t.Cleanup(server.Close)
	t.Setenv("E2B_API_URL", server.URL)
	t.Setenv("WRENN_ADMIN_TOKEN", "t")

	listed, stderr, code := wrenn(t, "team", "list")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^Default +t1 +any `, listed)
	for _, given := range []string{"t1", "default", "Default"} {
		changed = ""
		stdout, stderr, code := wrenn(t, "team", "set", given, "--isolation", "vm")
		require.Zero(t, code, stderr)
		require.Equal(t, `/teams/t1 {"isolation":"vm"}`, changed, given)
		require.Equal(t, "team Default demands isolation vm of what starts from now on\n", stdout)
	}
	for given, words := range map[string]string{"Science": `2 teams are named "Science"; give the ID`, "nobody": `there is no team "nobody"`} {
		_, stderr, code = wrenn(t, "team", "set", given, "--isolation", "vm")
		require.Equal(t, cli.ExitFailure, code)
		require.Contains(t, stderr, words)
	}
	_, stderr, code = wrenn(t, "team", "set", "t1")
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "--isolation is missing")
}
