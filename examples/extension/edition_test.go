package main

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

const (
	adminToken = "the admin's token of a test"
	// patience is enough for a loaded machine.
	patience = 30 * time.Second
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// controlPlane is the edition's whole control plane over a real PostgreSQL. Its host
// agent is one for tests, whose sandboxes are only records.
type controlPlane struct {
	url, key string
	pool     *pgxpool.Pool
	team     uuid.UUID // the default team, whose API key is key
	company  *company
}

// start runs the edition until the test ends.
func start(t *testing.T) *controlPlane {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &controlPlane{url: "http://" + listener.Addr().String(), key: auth.NewKey()}
	p.company = newCompany(t, p.url)
	t.Setenv("WRENN_SSO_METADATA_FILE", p.company.metadataFile)
	secret := make([]byte, auth.SecretKeySize)
	_, _ = rand.Read(secret)
	agent := hosttest.Start(t, http.NotFoundHandler())
	settings := config.Config{
		DatabaseURL: dbtest.URL(t), Domain: "localhost:3000", MaxTimeout: time.Hour,
		HostAgentSocket: agent.RPCSocket, HostTrafficSocket: agent.TrafficSocket,
		SecretKeyFile: file(t, string(secret)), BootstrapAPIKeyFile: file(t, p.key),
		Identity: config.Identity{PublicURL: p.url, AdminTokenFile: file(t, adminToken)},
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- cpserver.Run(ctx, append(edition(), cpserver.WithConfig(settings), cpserver.WithListener(listener),
			cpserver.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil))), cpserver.WithOutput(io.Discard))...)
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	status, body := p.send(t, http.MethodGet, "/health", "", nil)
	require.Equal(t, http.StatusNoContent, status, body)
	p.pool, err = db.Open(t.Context(), settings.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(p.pool.Close)
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams").Scan(&p.team))
	return p
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (p *controlPlane) send(t *testing.T, method, path, body string, header http.Header) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

func (p *controlPlane) asTeam(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	return p.send(t, method, path, body, http.Header{"X-Api-Key": {p.key}})
}

func (p *controlPlane) create(t *testing.T) (status int, answer string) {
	t.Helper()
	return p.asTeam(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
}

func (p *controlPlane) setPlan(t *testing.T, body string) (status int, answer string) {
	t.Helper()
	return p.send(t, http.MethodPut, "/extensions/billing/plans", body, http.Header{"X-Admin-Token": {adminToken}})
}

func TestQuota_RefusesWhatThePlanDoesNotHave(t *testing.T) {
	p := start(t)
	for range 2 {
		status, body := p.create(t)
		require.Equal(t, http.StatusCreated, status, body)
	}
	status, body := p.create(t)
	require.Equal(t, http.StatusPaymentRequired, status, body)
	require.Contains(t, body, "the team's plan has 2 sandboxes at a time, and 2 run")

	status, body = p.setPlan(t, `{"teamID":"`+p.team.String()+`","sandboxes":3}`)
	require.Equal(t, http.StatusNoContent, status, body)
	status, body = p.create(t)
	require.Equal(t, http.StatusCreated, status, body)
	status, _ = p.create(t)
	require.Equal(t, http.StatusPaymentRequired, status)
}

func TestPlans_AreSetByAdminsOnly(t *testing.T) {
	p := start(t)
	good := `{"teamID":"` + p.team.String() + `","sandboxes":3}`
	status, _ := p.asTeam(t, http.MethodPut, "/extensions/billing/plans", good)
	require.Equal(t, http.StatusForbidden, status)
	for _, wrong := range []string{"", "{", `{"sandboxes":3}`, `{"teamID":"` + p.team.String() + `"}`, `{"teamID":"all","sandboxes":3}`, strings.Replace(good, "sandboxes", "sandbox", 1)} {
		status, body := p.setPlan(t, wrong)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", wrong, body)
	}
}

func TestSandboxes_AreChargedByTheWorker(t *testing.T) {
	p := start(t)
	status, body := p.create(t)
	require.Equal(t, http.StatusCreated, status, body)
	require.Eventually(t, func() bool {
		_, body = p.asTeam(t, http.MethodGet, "/extensions/billing/bill", "")
		return strings.TrimSpace(body) == `{"sandboxes":1,"cents":5}`
	}, patience, 20*time.Millisecond, "the bill must have the sandbox")
	var team uuid.UUID
	var cents int64
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT team_id, cents FROM billing_charges").Scan(&team, &cents))
	require.Equal(t, p.team, team)
	require.EqualValues(t, 5, cents)
	var jobs int64
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE queue = 'billing'").Scan(&jobs))
	require.EqualValues(t, 1, jobs)
}

func TestRoutes_AreInTheAPIsDocument(t *testing.T) {
	p := start(t)
	status, document := p.send(t, http.MethodGet, "/openapi.json", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, document, `"/extensions/billing/bill"`)
	require.Contains(t, document, "Set how many sandboxes a team may run at a time")
}

// signIn goes through a sign-in as a browser does. It returns the browser, and the
// status of the last answer.
func (p *controlPlane) signIn(t *testing.T, at *company, change func(form url.Values)) (browser *http.Client, status int) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	browser = &http.Client{Jar: jar, Timeout: patience, CheckRedirect: stay}
	asked, err := browser.Get(p.url + "/auth/oidc/sso/start")
	require.NoError(t, err)
	defer asked.Body.Close()
	require.Equal(t, http.StatusFound, asked.StatusCode)
	form := at.answer(t, asked.Header.Get("Location"))
	if change != nil {
		change(form)
	}
	answered, err := browser.PostForm(p.url+"/auth/oidc/sso/callback", form)
	require.NoError(t, err)
	defer answered.Body.Close()
	return browser, answered.StatusCode
}

func TestSSO_SignsAPersonInWhoSeesThePage(t *testing.T) {
	p := start(t)
	_, listed := p.send(t, http.MethodGet, "/auth/oidc", "", nil)
	require.JSONEq(t, `[{"name":"sso","title":"Example Corp"}]`, listed)
	status, _ := p.send(t, http.MethodGet, "/extensions/billing/prices", "", nil)
	require.Equal(t, http.StatusUnauthorized, status)

	browser, status := p.signIn(t, p.company, nil)
	require.Equal(t, http.StatusFound, status)
	response, err := browser.Get(p.url + "/extensions/billing/prices")
	require.NoError(t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", page)
	require.Contains(t, string(page), "A sandbox costs 5 cents. 2 run at a time without a plan.")
	var email string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT email FROM users").Scan(&email))
	require.Equal(t, "ada@example.com", email)
}

func TestSSO_RefusesAnAnswerThatIsNotTheCompanys(t *testing.T) {
	p := start(t)
	impostor := newCompany(t, p.url) // with the company's addresses and another key
	_, status := p.signIn(t, impostor, nil)
	require.Equal(t, http.StatusUnauthorized, status)
	for name, change := range map[string]func(form url.Values){
		"to no request":        func(form url.Values) { form.Set("SAMLResponse", p.company.unasked(t)) },
		"of another attempt":   func(form url.Values) { form.Set("RelayState", "another") },
		"without an assertion": func(form url.Values) { form.Del("SAMLResponse") },
	} {
		t.Run(name, func(t *testing.T) {
			_, status := p.signIn(t, p.company, change)
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}
