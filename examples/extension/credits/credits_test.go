package credits_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/credits/credits"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

const (
	adminToken = "the admin's token of a test"
	// patience is for a loaded machine.
	patience = 30 * time.Second
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// server is a whole control plane with the extension, over a real PostgreSQL.
type server struct {
	url, key string
	team     uuid.UUID
	pool     *pgxpool.Pool
	settings config.Config
}

func start(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	secret := make([]byte, auth.SecretKeySize)
	_, _ = rand.Read(secret)
	agent := hosttest.Start(t, http.NotFoundHandler())
	s := &server{key: auth.NewKey()}
	s.settings = config.Config{
		DatabaseURL: dbtest.URL(t), Domain: "localhost:3000", MaxTimeout: time.Hour,
		HostAgentSocket: agent.RPCSocket, HostTrafficSocket: agent.TrafficSocket,
		SecretKeyFile: write("secret", string(secret)), BootstrapAPIKeyFile: write("key", s.key),
		Identity: config.Identity{AdminTokenFile: write("admin", adminToken)},
	}
	var err error
	s.pool, err = db.Open(t.Context(), s.settings.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(s.pool.Close)
	s.run(t)
	require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT id FROM teams").Scan(&s.team))
	return s
}

// run runs the server until the test ends.
func (s *server) run(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.url = "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- cpserver.Run(ctx, cpserver.WithConfig(s.settings), cpserver.WithListener(listener),
			cpserver.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil))), cpserver.WithOutput(io.Discard),
			cpserver.WithExtensions(credits.New()))
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	status, _ := s.ask(t, http.MethodGet, "/health", "", http.Header{})
	require.Equal(t, http.StatusNoContent, status)
}

func (s *server) ask(t *testing.T, method, path, body string, header http.Header) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if response.StatusCode < http.StatusBadRequest && strings.HasPrefix(path, "/v2/") {
		require.Equal(t, "credits", response.Header.Get("X-Paid-With"), "the middleware sees the control plane's routes")
	}
	return response.StatusCode, string(content)
}

func (s *server) asTeam(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	return s.ask(t, method, path, body, http.Header{"X-Api-Key": {s.key}})
}

func (s *server) asAdmin(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	return s.ask(t, method, path, body, http.Header{"X-Admin-Token": {adminToken}})
}

func (s *server) create(t *testing.T) (int, string) {
	t.Helper()
	return s.asTeam(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
}

func (s *server) topUp(t *testing.T, body string) int {
	t.Helper()
	status, _ := s.asAdmin(t, http.MethodPost, "/extensions/credits/teams/"+s.team.String()+"/top-ups", body)
	return status
}

func TestCredits_AreWhatSandboxesCost(t *testing.T) {
	t.Parallel()
	s := start(t)
	status, body := s.create(t)
	require.Equal(t, http.StatusPaymentRequired, status, body)
	require.Contains(t, body, "the team has 0 credits, and this takes 1")

	require.Equal(t, http.StatusNoContent, s.topUp(t, `{"credits": 2}`))
	status, body = s.create(t)
	require.Equal(t, http.StatusCreated, status, body)
	// Nobody asks for the balance here: the event wakes the worker, which charges.
	require.Eventually(t, func() bool {
		var credits int64
		require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT credits FROM credits_accounts WHERE team_id = $1", s.team).Scan(&credits))
		return credits == 1
	}, patience, 20*time.Millisecond, "a credit was not taken")

	status, body = s.create(t)
	require.Equal(t, http.StatusCreated, status, body)
	status, body = s.asTeam(t, http.MethodGet, "/extensions/credits/balance", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"credits": 0}`, body)
	_, body = s.asTeam(t, http.MethodGet, "/v2/sandboxes", "")
	var running []struct{ SandboxID string }
	require.NoError(t, json.Unmarshal([]byte(body), &running))
	require.Len(t, running, 2)
	status, body = s.asTeam(t, http.MethodPost, "/sandboxes/"+running[0].SandboxID+"/fork", `{"count":1}`)
	require.Equal(t, http.StatusPaymentRequired, status, body)
}

func TestCredits_AreTakenOnceByTwoReplicas(t *testing.T) {
	t.Parallel()
	first := start(t)
	other := *first
	second := &other
	second.run(t)
	require.Equal(t, http.StatusNoContent, first.topUp(t, `{"credits": 10}`))
	for _, replica := range []*server{first, second, first, second} {
		status, body := replica.create(t)
		require.Equal(t, http.StatusCreated, status, body)
	}
	for _, replica := range []*server{first, second, first} {
		_, body := replica.asTeam(t, http.MethodGet, "/extensions/credits/balance", "")
		require.JSONEq(t, `{"credits": 6}`, body)
	}
}

func TestRoutes_AreForThoseTheyAreMeantFor(t *testing.T) {
	t.Parallel()
	s := start(t)
	anybody := http.Header{}
	status, body := s.ask(t, http.MethodGet, "/extensions/credits/price", "", anybody)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"creditsPerSandbox": 1}`, body)
	status, _ = s.ask(t, http.MethodGet, "/extensions/credits/balance", "", anybody)
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = s.asTeam(t, http.MethodPost, "/extensions/credits/teams/"+s.team.String()+"/top-ups", `{"credits": 1}`)
	require.Equal(t, http.StatusForbidden, status, "a team must not print its own money")
	for _, wrong := range []string{"", "{", `{"credits": 0}`, `{"credits": 1e9}`, `{"credit": 1}`} {
		require.Equal(t, http.StatusBadRequest, s.topUp(t, wrong), wrong)
	}
	status, _ = s.ask(t, http.MethodGet, "/extensions/credits/overview", "", anybody)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestServer_TellsOfTheExtension(t *testing.T) {
	t.Parallel()
	s := start(t)
	status, body := s.asAdmin(t, http.MethodGet, "/admin/extensions", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `[{"name": "credits", "state": "running", "required": true, "failures": 0, "lastFailure": null,
		"pages": [{"title": "Credits", "path": "/extensions/credits/overview", "adminOnly": false}]}]`, body)
	var version int64
	require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT max(version_id) FROM goose_extension_credits").Scan(&version))
	require.EqualValues(t, 1, version)
	require.NoError(t, db.RollbackExtension(t.Context(), s.pool, "credits", credits.New().Migrations(), 0))
	_, err := s.pool.Exec(t.Context(), "SELECT FROM credits_accounts")
	require.ErrorContains(t, err, "does not exist")
}
