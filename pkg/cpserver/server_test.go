package cpserver_test

import (
	"bytes"
	"cmp"
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
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/openapi/openapitest"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

const patience = 15 * time.Second

// controlPlane is a whole control plane over a real database and a host agent for tests.
// The tests of this package call it over HTTP, end to end except for VMs.
type controlPlane struct {
	url    string
	key    string
	config config.Config
	agent  *hosttest.Agent
	pool   *pgxpool.Pool
	extras []cpserver.Option
	log    *slog.Logger // nil for the test's output
	stop   func() error

	mutex  sync.Mutex
	output strings.Builder
}

// Write takes what the server prints for the person who starts it.
func (p *controlPlane) Write(data []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.output.Write(data)
}

func (p *controlPlane) printed() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.output.String()
}

// setUp prepares everything that a control plane needs and does not start it.
func setUp(t *testing.T, guest http.Handler) *controlPlane {
	t.Helper()
	return setUpOver(t, hosttest.Start(t, guest))
}

func setUpOver(t *testing.T, agent *hosttest.Agent) *controlPlane {
	t.Helper()
	dir := t.TempDir()
	secret := make([]byte, auth.SecretKeySize)
	_, _ = rand.Read(secret)
	p := &controlPlane{key: auth.NewKey(), agent: agent}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), secret, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte(p.key+"\n"), 0o600))
	p.config = config.Config{
		DatabaseURL: dbtest.URL(t), Domain: "localhost:3000",
		HostAgentSocket: p.agent.RPCSocket, HostTrafficSocket: p.agent.TrafficSocket,
		SecretKeyFile: filepath.Join(dir, "secret"), BootstrapAPIKeyFile: filepath.Join(dir, "key"),
		MaxTimeout: 24 * time.Hour,
	}
	pool, err := db.Open(t.Context(), p.config.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	p.pool = pool
	return p
}

// hasAdmin gives the control plane an admin's token, adminToken.
func (p *controlPlane) hasAdmin(t *testing.T) {
	t.Helper()
	p.config.Identity.AdminTokenFile = filepath.Join(t.TempDir(), "admin-token")
	require.NoError(t, os.WriteFile(p.config.Identity.AdminTokenFile, []byte(adminToken), 0o600))
}

// start runs the control plane until the test ends or stop is called.
func (p *controlPlane) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended, checker := make(chan error, 1), openapitest.New(t)
	log := cmp.Or(p.log, slog.New(slog.NewTextHandler(t.Output(), nil)))
	go func() {
		ended <- cpserver.Run(ctx, append(p.extras, cpserver.WithConfig(p.config), cpserver.WithListener(listener),
			cpserver.WithHandlerAround(checker.Wrap),
			cpserver.WithLogger(log), cpserver.WithOutput(p))...)
	}()
	stopped := false
	p.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return context.DeadlineExceeded
		}
	}
	t.Cleanup(func() { require.NoError(t, p.stop()) })
	require.Equal(t, http.StatusNoContent, p.do(t, http.MethodGet, "/health", "").status, "the control plane must answer")
}

func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	p := setUp(t, http.NotFoundHandler())
	p.start(t)
	return p
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.body, into), "body: %s", a.body)
}

func (p *controlPlane) do(t *testing.T, method, path, body string) answer {
	t.Helper()
	return p.send(t, method, path, body, http.Header{"X-Api-Key": {p.key}})
}

func (p *controlPlane) send(t *testing.T, method, path, body string, header http.Header) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	request.Header = header
	if host := header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, content}
}

// sandbox is what a create answers.
type sandbox struct {
	SandboxID          string
	TemplateID         string
	Alias              string
	EnvdVersion        string
	EnvdAccessToken    string
	TrafficAccessToken *string
	Domain             string
	State              string
	EndAt, StartedAt   time.Time
	Metadata           map[string]string
	Failure            string
}

func (p *controlPlane) create(t *testing.T, body string) sandbox {
	t.Helper()
	created := p.do(t, http.MethodPost, "/v2/sandboxes", body)
	require.Equal(t, http.StatusCreated, created.status, "body: %s", created.body)
	var s sandbox
	created.decode(t, &s)
	return s
}

func (p *controlPlane) get(t *testing.T, sandboxID string) sandbox {
	t.Helper()
	got := p.do(t, http.MethodGet, "/sandboxes/"+sandboxID, "")
	require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
	var s sandbox
	got.decode(t, &s)
	return s
}

// requireStatus checks a status and, where it is a refusal, its shape.
func requireStatus(t *testing.T, want int, got answer) {
	t.Helper()
	require.Equal(t, want, got.status, "body: %s", got.body)
	if want < http.StatusBadRequest {
		return
	}
	var refusal struct {
		Code    int
		Message string
	}
	got.decode(t, &refusal)
	require.Equal(t, want, refusal.Code)
	require.NotEmpty(t, refusal.Message)
}

// eventually polls until check answers true.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	require.Eventually(t, check, patience, 20*time.Millisecond, what)
}

// trySend is for servers that may be down.
func (p *controlPlane) trySend(method, path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("X-Api-Key", p.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, content}, err
}
