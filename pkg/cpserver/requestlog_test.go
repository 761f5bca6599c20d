package cpserver_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

// journal keeps the lines of a log.
type journal struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(line)
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// line is what a log line says of its request.
type line struct {
	Message   string `json:"msg"`
	Procedure string `json:"procedure"`
	Path      string `json:"path"`
	Request   string `json:"request"`
	Team      string `json:"team"`
	Sandbox   string `json:"sandbox"`
	Error     string `json:"error"`
}

// of returns the lines of one request.
func (j *journal) of(t *testing.T, request string) []line {
	t.Helper()
	j.mutex.Lock()
	defer j.mutex.Unlock()
	var found []line
	for text := range strings.Lines(j.text.String()) {
		var one line
		require.NoError(t, json.Unmarshal([]byte(text), &one), text)
		if one.Request == request {
			found = append(found, one)
		}
	}
	return found
}

func TestLog_NamesRequestTeamAndSandboxOnTheControlPlaneAndTheHost(t *testing.T) {
	t.Parallel()
	var onHost, onControlPlane journal
	p := setUpOver(t, hosttest.StartLogging(t, http.NotFoundHandler(), slog.New(requestlog.NewHandler(onHost.logger().Handler()))))
	p.log = onControlPlane.logger()
	p.start(t)
	var team string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams").Scan(&team))

	created := p.send(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`, http.Header{"X-Api-Key": {p.key}, "X-Request-Id": {"a-create-of-a-test"}})
	require.Equal(t, http.StatusCreated, created.status, "%s", created.body)
	require.Equal(t, "a-create-of-a-test", created.header.Get("X-Request-Id"))
	var s sandbox
	created.decode(t, &s)

	changed := line{Message: "sandbox changed state", Request: "a-create-of-a-test", Team: team, Sandbox: s.SandboxID}
	want := line{Message: "request answered", Path: "/v2/sandboxes", Request: changed.Request, Team: team, Sandbox: s.SandboxID}
	eventually(t, "the control plane logs the request", func() bool {
		return len(onControlPlane.of(t, want.Request)) > 1
	})
	require.Equal(t, []line{changed, want}, onControlPlane.of(t, want.Request))
	want.Message, want.Path, want.Procedure = "call answered", "", "/hostagent.v1.HostAgent/CreateSandbox"
	eventually(t, "the host logs its part", func() bool { return len(onHost.of(t, want.Request)) > 0 })
	require.Equal(t, []line{want}, onHost.of(t, want.Request))
}

func TestLog_NamesTheRequestOfAnInternalErrorThatTheClientCanQuote(t *testing.T) {
	t.Parallel()
	var onControlPlane journal
	p := setUp(t, http.NotFoundHandler())
	p.log = onControlPlane.logger()
	p.start(t)
	s := p.create(t, `{"templateID":"base"}`)
	_, err := p.pool.Exec(t.Context(), "ALTER TABLE sandboxes RENAME COLUMN alias TO nickname")
	require.NoError(t, err)

	failed := p.do(t, http.MethodGet, "/sandboxes/"+s.SandboxID, "")
	require.Equal(t, http.StatusInternalServerError, failed.status)
	request := failed.header.Get("X-Request-Id")
	require.Contains(t, string(failed.body), "internal error (request "+request+")")
	require.NotContains(t, string(failed.body), "alias")
	logged := onControlPlane.of(t, request)
	require.NotEmpty(t, logged)
	require.Equal(t, "request failed", logged[0].Message)
	require.Contains(t, logged[0].Error, "alias")
	require.Equal(t, s.SandboxID, logged[0].Sandbox)
	require.NotEmpty(t, logged[0].Team)
}
