package cpserver_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
)

// issue stores a key of a team, which is made if it is not there.
func (p *controlPlane) issue(t *testing.T, slug string, scopes []string) string {
	t.Helper()
	queries := rows.New(p.pool)
	team, err := queries.EnsureTeam(t.Context(), rows.EnsureTeamParams{ID: uuid.New(), Slug: slug, Name: slug})
	require.NoError(t, err)
	key := auth.NewKey()
	_, err = queries.IssueAPIKey(t.Context(), rows.IssueAPIKeyParams{
		ID: uuid.New(), TeamID: team.ID, Name: slug, KeyHash: auth.HashKey(key), Scopes: scopes,
	})
	require.NoError(t, err)
	return key
}

func TestSandboxes_OfAnotherTeamAreNotThere(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	mine := p.create(t, `{"templateID":"base","timeout":300}`)
	foreign := p.issue(t, "other", nil)
	as := http.Header{"X-Api-Key": {foreign}}
	path := "/sandboxes/" + mine.SandboxID
	for _, call := range []struct{ method, path, body string }{
		{http.MethodGet, path, ""},
		{http.MethodDelete, path, ""},
		{http.MethodPost, path + "/pause", "{}"},
		{http.MethodPost, path + "/resume", "{}"},
		{http.MethodPost, path + "/connect", `{"timeout":10}`},
		{http.MethodPost, "/v2" + path + "/connect", `{"timeout":10}`},
		{http.MethodPost, path + "/timeout", `{"timeout":10}`},
		{http.MethodPost, path + "/refreshes", `{}`},
		{http.MethodPost, path + "/fork", `{}`},
		{http.MethodPost, path + "/snapshots", `{}`},
		{http.MethodPut, path + "/network", `{}`},
		{http.MethodGet, path + "/logs", ""},
		{http.MethodGet, "/v2" + path + "/logs", ""},
		{http.MethodGet, path + "/metrics", ""},
	} {
		requireStatus(t, http.StatusNotFound, p.send(t, call.method, call.path, call.body, as))
	}
	require.JSONEq(t, "[]", string(p.send(t, http.MethodGet, "/v2/sandboxes", "", as).body))
	require.Equal(t, "running", p.get(t, mine.SandboxID).State)
}

func TestSandbox_ShowsItsTokenOnlyToWhoMayUseIt(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	mine := p.create(t, `{"templateID":"base","network":{"rules":{"example.com":[{"transform":{"headers":{"Authorization":"a secret"}}}]}}}`)
	reading := p.issue(t, "default", []string{"sandbox:read"})
	got := p.send(t, http.MethodGet, "/sandboxes/"+mine.SandboxID, "", http.Header{"X-Api-Key": {reading}})
	requireStatus(t, http.StatusOK, got)
	require.NotContains(t, string(got.body), mine.EnvdAccessToken)
	require.NotContains(t, string(got.body), "a secret")
	require.Equal(t, mine.EnvdAccessToken, p.get(t, mine.SandboxID).EnvdAccessToken)
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodDelete, "/sandboxes/"+mine.SandboxID, "", http.Header{"X-Api-Key": {reading}}))
}

// A key that is revoked while it is in use works for no request that begins after.
func TestRevocation_TakesEffectAtOnceWhileTheKeyIsInUse(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	key := p.issue(t, "default", nil)
	as := http.Header{"X-Api-Key": {key}}
	var asking sync.WaitGroup
	revoked := make(chan struct{})
	defer asking.Wait()
	defer close(revoked)
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-revoked:
					return
				default:
					p.send(t, http.MethodGet, "/v2/sandboxes", "", as)
				}
			}
		})
	}
	requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/v2/sandboxes", "", as))
	_, err := p.pool.Exec(t.Context(), "UPDATE api_keys SET revoked_at = now() WHERE key_hash = $1", auth.HashKey(key))
	require.NoError(t, err)
	for range 20 {
		// Refused either way: those who ask all the time use up its address's tries.
		got := p.send(t, http.MethodGet, "/v2/sandboxes", "", as)
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusTooManyRequests}, got.status, "body: %s", got.body)
	}
}

func TestKeys_ThatAreTriedAreRateLimitedByAddressAndLockNoGoodOneOut(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for tries := 1; ; tries++ {
		require.LessOrEqual(t, tries, 500)
		got := p.send(t, http.MethodGet, "/v2/sandboxes", "", http.Header{"X-Api-Key": {auth.NewKey()}})
		if got.status == http.StatusTooManyRequests {
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.Greater(t, tries, 50, "a few mistakes are forgiven")
			break
		}
		requireStatus(t, http.StatusUnauthorized, got)
	}
	good := http.Header{"X-Api-Key": {p.issue(t, "default", nil)}}
	var flood sync.WaitGroup
	enough := make(chan struct{})
	for range 8 {
		flood.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
					p.send(t, http.MethodGet, "/v2/sandboxes", "", http.Header{"X-Api-Key": {auth.NewKey()}})
				}
			}
		})
	}
	defer flood.Wait()
	defer close(enough)
	for range 20 {
		requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/v2/sandboxes", "", good.Clone()))
	}
}

// makeFirstAdmin makes Ada the first admin, by the link that was printed.
func (p *controlPlane) makeFirstAdmin(t *testing.T) answer {
	t.Helper()
	_, token, found := strings.Cut(p.printed(), p.config.Identity.PublicURL+"/first-admin#token=")
	require.True(t, found, p.printed())
	token, _, _ = strings.Cut(token, "\n")
	body := `{"token":"` + token + `","email":"ada@example.com","name":"Ada","password":"correct horse"}`
	got := p.send(t, http.MethodPost, "/auth/first-admin", body, http.Header{})
	requireStatus(t, http.StatusOK, got)
	return got
}

func TestFirstAdminLink_IsShownToWhoeverStartsTheServer(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.config.Identity.PublicURL = "https://wrenn.example.com"
	p.start(t)
	require.Contains(t, p.makeFirstAdmin(t).header.Get("Set-Cookie"), "__Host-wrenn_session=")
}

func TestOIDC_IsListedByItsTitle(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{"Example Corp": "Example Corp", "": "corp"} {
		t.Run("title "+title, func(t *testing.T) {
			t.Parallel()
			p := setUp(t, http.NotFoundHandler())
			p.config.Identity.OIDC = config.OIDC{Name: "corp", Title: title, Issuer: "https://sso.example.com"}
			p.start(t)
			listed := p.do(t, http.MethodGet, "/auth/oidc", "")
			require.JSONEq(t, `[{"name":"corp","title":"`+want+`"}]`, string(listed.body))
		})
	}
}
