package cpserver_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/postgres"
)

// ownDatabase is a PostgreSQL that a test may stop.
func ownDatabase(t *testing.T) (start func() *postgres.Server) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wrenn-pg-") //nolint:usetesting // t.TempDir's long path leaves no room for a socket's name.
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	config := postgres.Config{DataDir: filepath.Join(dir, "data"), SocketDir: filepath.Join(dir, "run"), LogPath: filepath.Join(dir, "log")}
	if os.Geteuid() == 0 {
		config.User = "postgres"
	}
	return func() *postgres.Server {
		t.Helper()
		server, err := postgres.Start(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
		return server
	}
}

// clients ask without a pause until stopped, and count what they are answered.
func (p *controlPlane) clients(t *testing.T, paths ...string) (stop func() map[int]int) {
	t.Helper()
	var asking sync.WaitGroup
	var mutex sync.Mutex
	answers := map[int]int{}
	ctx, cancel := context.WithCancel(t.Context())
	for _, path := range paths {
		asking.Go(func() {
			for ctx.Err() == nil {
				got := p.do(t, http.MethodGet, path, "")
				if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
					got.status = 0
				}
				mutex.Lock()
				answers[got.status]++
				mutex.Unlock()
			}
		})
	}
	return func() map[int]int {
		cancel()
		asking.Wait()
		return answers
	}
}

func TestDatabase_ThatGoesAwayIsSaidSoAndUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	startDatabase := ownDatabase(t)
	database := startDatabase()
	p := setUp(t, http.NotFoundHandler())
	p.config.DatabaseURL = database.URL()
	p.start(t)
	kept := p.create(t, `{"templateID":"base","timeout":300}`)

	stop := p.clients(t, "/v2/sandboxes", "/sandboxes/"+kept.SandboxID)
	require.NoError(t, database.Stop(t.Context()))
	for _, path := range []string{"/health", "/v2/sandboxes", "/templates"} {
		got := p.do(t, http.MethodGet, path, "")
		requireStatus(t, http.StatusServiceUnavailable, got)
		require.NotEmpty(t, got.header.Get("Retry-After"), path)
	}
	login := p.send(t, http.MethodPost, "/auth/login", `{"email":"a@example.com","password":"a password"}`, http.Header{})
	requireStatus(t, http.StatusServiceUnavailable, login)

	startDatabase()
	eventually(t, "the database is used again", func() bool {
		return p.do(t, http.MethodGet, "/health", "").status == http.StatusNoContent
	})
	require.Equal(t, "running", p.get(t, kept.SandboxID).State)
	p.create(t, `{"templateID":"base","timeout":300}`)
	answers := stop()
	for status := range answers {
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status, "%v", answers)
	}
	require.Positive(t, answers[http.StatusServiceUnavailable], "the clients were there when it was away")
}
