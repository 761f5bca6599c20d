package cpserver_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type loggedLine struct {
	Timestamp      time.Time
	Message, Level string
	Fields         map[string]string
}

func (p *controlPlane) logs(t *testing.T, sandboxID, query string) []loggedLine {
	t.Helper()
	got := p.do(t, http.MethodGet, "/v2/sandboxes/"+sandboxID+"/logs?"+query, "")
	require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
	var answer struct{ Logs []loggedLine }
	got.decode(t, &answer)
	return answer.Logs
}

func messages(lines []loggedLine) []string {
	all := []string{}
	for _, line := range lines {
		all = append(all, line.Message)
	}
	return all
}

func TestLogs_TellALifeAlsoWhenItIsOver(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	path := "/sandboxes/" + s.SandboxID
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path+"/network", `{}`))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", ""))
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, path+"/resume", ""))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, path, ""))
	life := []string{"Sandbox started", "Network changed", "Sandbox paused", "Sandbox resumed", "Sandbox ended"}
	lines := p.logs(t, s.SandboxID, "")
	require.Equal(t, life, messages(lines))
	require.Equal(t, "killed by its team", lines[4].Fields["reason"])
	require.Equal(t, "info", lines[0].Level)

	require.Equal(t, []string{"Sandbox ended", "Sandbox resumed"}, messages(p.logs(t, s.SandboxID, "direction=backward&limit=2")))
	require.Equal(t, []string{"Sandbox resumed"}, messages(p.logs(t, s.SandboxID, "search=RESUMED")))
	require.Empty(t, p.logs(t, s.SandboxID, "level=warn"))
	later := fmt.Sprint(time.Now().Add(time.Minute).UnixMilli())
	require.Empty(t, p.logs(t, s.SandboxID, "cursor="+later))
	require.Len(t, p.logs(t, s.SandboxID, "direction=backward&cursor="+later), len(life))

	var first struct {
		Logs       []struct{ Line string }
		LogEntries []loggedLine
	}
	p.do(t, http.MethodGet, path+"/logs?limit=1", "").decode(t, &first)
	require.JSONEq(t, `{"level":"info","logger":"lifecycle","message":"Sandbox started","source":"lifecycle"}`, first.Logs[0].Line)
	require.Len(t, first.LogEntries, 1)
	for _, wrong := range []string{"limit=1001", "limit=-1", "cursor=x", "cursor=-1", "level=loud", "direction=up", "search=%00", "cursor=9999999999999999999"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/v2"+path+"/logs?"+wrong, ""))
	}
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	requireStatus(t, http.StatusNotFound, p.send(t, http.MethodGet, "/v2"+path+"/logs", "", other))
}
