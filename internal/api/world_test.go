package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/openapi/openapitest"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
)

const (
	patience   = 15 * time.Second
	password   = "correct horse battery"
	adminToken = "the token of the installation's admin"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// letterbox keeps the mails that were sent.
type letterbox chan mail.Message

func (l letterbox) Send(_ context.Context, message mail.Message) error {
	l <- message
	return nil
}

var linkToken = regexp.MustCompile(`#token=([\w-]+)`)

// next returns the next mail's recipient and the token in its link.
func (l letterbox) next(t *testing.T) (to, token string) {
	t.Helper()
	select {
	case message := <-l:
		found := linkToken.FindStringSubmatch(message.Text)
		require.Len(t, found, 2, message.Text)
		return message.To[0], found[1]
	case <-time.After(patience):
		require.Fail(t, "no mail came")
		return "", ""
	}
}

// world is the API of identity over a real database.
type world struct {
	pool    *pgxpool.Pool
	queries *rows.Queries
	people  *identity.Service
	mails   letterbox
	server  *api.Server
	http    *httptest.Server
	team    rows.Team
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, config.TeamLimits{})
}

func newWorldWith(t *testing.T, limits config.TeamLimits) *world {
	t.Helper()
	keyring, err := seal.NewKeyring(make([]byte, seal.KeySize))
	require.NoError(t, err)
	w := &world{pool: dbtest.Open(t), mails: make(letterbox, 10)}
	w.queries = rows.New(w.pool)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.server = &api.Server{
		Access: access.Control{Authenticator: auth.NewAuthenticator(w.pool, adminToken), Log: log}, FirstTeam: "default",
		TeamSettings: teams.NewSettings(w.pool),
		Healthy:      w.pool.Ping, Log: log,
	}
	w.http = httptest.NewServer(openapitest.New(t).Wrap(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		w.server.Handler().ServeHTTP(answer, r)
	})))
	t.Cleanup(w.http.Close)
	w.server.Access.PublicURL = w.http.URL
	w.people = identity.New(w.pool, w.mails, keyring, w.server.Log, identity.Config{PublicURL: w.http.URL, NewTeamLimits: limits, LocalSignIn: true})
	w.server.Identity, w.server.APIKeys = w.people, keys.New(w.pool)
	w.team, err = w.queries.EnsureTeam(t.Context(), rows.EnsureTeamParams{ID: uuid.New(), Slug: "default", Name: "Default"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.people.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return w
}

// browser is a client with cookies.
type browser struct {
	*world
	client *http.Client
	csrf   string
	userID uuid.UUID
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{world: w, client: &http.Client{
		Jar: jar, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// firstAdmin signs the first admin in.
func (w *world) firstAdmin(t *testing.T) *browser {
	t.Helper()
	link, err := w.people.FirstAdminLink(t.Context())
	require.NoError(t, err)
	admin := w.browser(t)
	admin.must(t, http.StatusOK, http.MethodPost, "/auth/first-admin", fields{
		"token": linkToken.FindStringSubmatch(link)[1], "email": "Ada@example.com", "name": "Ada", "password": password,
	}, nil)
	admin.learn(t)
	return admin
}

// member signs somebody in whom the admin has invited.
func (b *browser) member(t *testing.T, email, role string) *browser {
	t.Helper()
	b.must(t, http.StatusCreated, http.MethodPost, "/teams/"+b.team.ID.String()+"/invitations", fields{"email": email, "role": role}, nil)
	to, token := b.mails.next(t)
	require.Equal(t, email, to)
	member := b.world.browser(t)
	member.must(t, http.StatusOK, http.MethodPost, "/auth/invitations/register", fields{"token": token, "name": "M", "password": password}, nil)
	member.learn(t)
	return member
}

// learn asks for the session's CSRF token, as a page does.
func (b *browser) learn(t *testing.T) {
	t.Helper()
	var session struct {
		ID        uuid.UUID
		CSRFToken string
	}
	b.must(t, http.StatusOK, http.MethodGet, "/auth/session", nil, &session)
	require.NotEmpty(t, session.CSRFToken)
	b.csrf, b.userID = session.CSRFToken, session.ID
}

func (b *browser) login(t *testing.T, email, password string) answer {
	t.Helper()
	return b.do(t, http.MethodPost, "/auth/login", fields{"email": email, "password": password})
}

type fields map[string]any

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) message(t *testing.T) string {
	t.Helper()
	var refusal struct{ Message string }
	require.NoError(t, json.Unmarshal(a.body, &refusal), "%s", a.body)
	return refusal.Message
}

// must does a request that has to be answered with a status, and reads the answer.
func (b *browser) must(t *testing.T, status int, method, path string, body fields, into any) {
	t.Helper()
	got := b.do(t, method, path, body)
	require.Equal(t, status, got.status, "%s %s: %s", method, path, got.body)
	if into != nil {
		require.NoError(t, json.Unmarshal(got.body, into), "%s", got.body)
	}
}

func (b *browser) do(t *testing.T, method, path string, body fields) answer {
	t.Helper()
	header := http.Header{}
	if b.csrf != "" {
		header.Set("X-CSRF-Token", b.csrf)
	}
	return b.send(t, method, path, body, header)
}

func (b *browser) send(t *testing.T, method, path string, body fields, header http.Header) answer {
	t.Helper()
	var content []byte
	if body != nil {
		var err error
		content, err = json.Marshal(body)
		require.NoError(t, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, b.http.URL+path, bytes.NewReader(content))
	require.NoError(t, err)
	request.Header = header
	response, err := b.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, content}
}
