package cpserver_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// anotherTeam makes a team and returns its key.
func (p *controlPlane) anotherTeam(t *testing.T) string {
	t.Helper()
	queries := rows.New(p.pool)
	team, err := queries.EnsureTeam(t.Context(), rows.EnsureTeamParams{ID: uuid.New(), Slug: "other", Name: "Other"})
	require.NoError(t, err)
	key := auth.NewKey()
	mask := auth.MaskKey(key)
	_, err = queries.CreateAPIKey(t.Context(), rows.CreateAPIKeyParams{
		ID: uuid.New(), TeamID: team.ID, Name: "key", KeyHash: auth.HashKey(key), KeyPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
	})
	require.NoError(t, err)
	return key
}

// route is one route of the API with a request that would succeed.
type route struct{ method, path, body string }

func routesOf(sandboxID string) []route {
	return []route{
		{http.MethodGet, "/sandboxes", ""},
		{http.MethodGet, "/v2/sandboxes", ""},
		{http.MethodPost, "/sandboxes", `{"templateID":"base"}`},
		{http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`},
		{http.MethodGet, "/templates", ""},
		{http.MethodGet, "/v2/templates", ""},
		{http.MethodGet, "/sandboxes/" + sandboxID, ""},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/timeout", `{"timeout":60}`},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/refreshes", `{"duration":60}`},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/connect", `{"timeout":60}`},
		{http.MethodPost, "/v2/sandboxes/" + sandboxID + "/connect", `{"timeout":60}`},
		{http.MethodPut, "/sandboxes/" + sandboxID + "/network", `{}`},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/fork", `{}`},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/snapshots", `{}`},
		{http.MethodGet, "/snapshots", ""},
		{http.MethodGet, "/sandboxes/" + sandboxID + "/metrics", ""},
		{http.MethodGet, "/sandboxes/" + sandboxID + "/logs", ""},
		{http.MethodGet, "/v2/sandboxes/" + sandboxID + "/logs", ""},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/pause", `{}`},
		{http.MethodPost, "/sandboxes/" + sandboxID + "/resume", `{"timeout":60}`},
		{http.MethodDelete, "/sandboxes/" + sandboxID, ""},
	}
}

func TestAccess_EveryRouteNeedsAKeyThatIsValid(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func(p *controlPlane) http.Header{
		"no key":        func(*controlPlane) http.Header { return http.Header{} },
		"unknown key":   func(*controlPlane) http.Header { return http.Header{"X-Api-Key": {auth.NewKey()}} },
		"revoked key":   func(p *controlPlane) http.Header { return http.Header{"X-Api-Key": {p.revokedKey(t)}} },
		"no key at all": func(*controlPlane) http.Header { return http.Header{"X-Api-Key": {"' OR 1=1 --"}} },
		"upper case":    func(p *controlPlane) http.Header { return http.Header{"X-Api-Key": {strings.ToUpper(p.key)}} },
		"its hash": func(p *controlPlane) http.Header {
			return http.Header{"X-Api-Key": {"e2b_" + hex.EncodeToString(auth.HashKey(p.key))[:40]}}
		},
		"as a bearer": func(p *controlPlane) http.Header { return http.Header{"Authorization": {"Bearer " + p.key}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startControlPlane(t) // each its own, because many failures in a row are refused
			s := p.create(t, `{"templateID":"base"}`)
			given := header(p)
			for _, r := range routesOf(s.SandboxID) {
				got := p.send(t, r.method, r.path, r.body, given.Clone())
				require.Equal(t, http.StatusUnauthorized, got.status, "%s %s: %s", r.method, r.path, got.body)
				requireStatus(t, http.StatusUnauthorized, got)
			}
			require.Equal(t, "running", p.get(t, s.SandboxID).State)
			require.Len(t, p.agent.States(), 1)
		})
	}
}

func (p *controlPlane) revokedKey(t *testing.T) string {
	t.Helper()
	key := p.anotherTeam(t)
	_, err := p.pool.Exec(t.Context(), "UPDATE api_keys SET revoked_at = now() WHERE key_hash = $1", auth.HashKey(key))
	require.NoError(t, err)
	return key
}

func TestAccess_AnotherTeamsSandboxIsNotThere(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	for _, r := range routesOf(s.SandboxID) {
		got := p.send(t, r.method, r.path, r.body, other.Clone())
		switch {
		case strings.Contains(r.path, s.SandboxID):
			requireStatus(t, http.StatusNotFound, got)
		case r.method == http.MethodGet && strings.HasSuffix(r.path, "sandboxes"):
			require.JSONEq(t, "[]", string(got.body))
		case r.method == http.MethodPost:
			requireStatus(t, http.StatusCreated, got)
			var theirs sandbox
			got.decode(t, &theirs)
			requireStatus(t, http.StatusNoContent, p.send(t, http.MethodDelete, "/sandboxes/"+theirs.SandboxID, "", other.Clone()))
		default:
			requireStatus(t, http.StatusOK, got)
		}
	}
	require.Equal(t, "running", p.get(t, s.SandboxID).State)
}

func TestAccess_UnknownRoutesAndMethodsAnswerInTheSameShape(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, path := range []string{"/nothing", "/sandboxes/", "/sandboxes/x/y/z", "/debug/pprof/", "/v9/sandboxes"} {
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, path, ""))
	}
	for _, path := range []string{"/sandboxes", "/v2/sandboxes", "/health", "/templates"} {
		requireStatus(t, http.StatusMethodNotAllowed, p.do(t, http.MethodPatch, path, ""))
	}
}

func TestDashboard_IsServedBesideTheAPI(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	got := p.send(t, http.MethodGet, "/", "", http.Header{})
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	require.Contains(t, got.header.Get("Content-Security-Policy"), "connect-src 'self' *."+p.config.Domain+";")
	require.Equal(t, "application/json", p.do(t, http.MethodGet, "/sandboxes", "").header.Get("Content-Type"))
}

func TestCreate_RefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, field := range []string{
		`"iam":{"tokens":{"a":{}}}`, `"volumeMounts":[{"name":"v","path":"/v"}]`,
		`"autoPauseMemory":false`, `"autoPause":true,"autoPauseMemory":false,"autoResume":{"enabled":true}`,
		`"network":{"egressProxy":{"address":"a:1","password":"b"}}`, `"network":{"maskRequestHost":"a b"}`, `"network":{"rules":{"a b":[]}}`,
		`"network":{"rules":{"a.com":[{"transform":{"headers":{"Host":"b"}}}]}}`, `"network":{"rules":{"a.com":{}}}`,
		`"network":{"httpsPorts":[0]}`, `"network":{"httpsPorts":[49983]}`, `"network":{"httpsPorts":[65536]}`, `"network":{"allowOut":["10.0.0.1"]}`, `"network":{"allowOut":["a.com"]}`,
		`"network":{"denyOut":["example.com"]}`, `"network":{"denyOut":["1.2.3.4/40"]}`,
		`"timeout":0`, `"timeout":-1`, `"timeout":86401`, `"timeout":1.5`, `"timeout":"long"`, `"timeout":99999999999`,
		`"metadata":{"a":1}`, `"metadata":["a"]`, `"metadata":{"a":"\u0000"}`, `"metadata":{"":"a"}`,
		`"envVars":{"A=B":"c"}`, `"envVars":{"":"c"}`, `"envVars":{"A":"\u0000"}`, `"autoPause":"yes"`,
	} {
		body := fmt.Sprintf(`{"templateID":"base",%s}`, field)
		got := p.do(t, http.MethodPost, "/v2/sandboxes", body)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", field, got.body)
		requireStatus(t, http.StatusBadRequest, got)
	}
	for _, body := range []string{
		``, `{`, `null`, `[]`, `"base"`, `{} {}`, `{"templateID":""}`, `{"templateID":7}`,
		`{"templateID":"../../etc/passwd"}`, `{"templateID":"a:b:c"}`,
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/sandboxes", body))
	}
	for _, name := range []string{"no-such-template", "base:no-such-tag", "nobody/base"} {
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes", fmt.Sprintf(`{"templateID":%q}`, name)))
	}
	huge := `{"templateID":"base","metadata":{"a":"` + strings.Repeat("x", 2<<20) + `"}}`
	requireStatus(t, http.StatusRequestEntityTooLarge, p.do(t, http.MethodPost, "/sandboxes", huge))
	require.Empty(t, p.agent.States())
	requireNoRows(t, p)
}

func requireNoRows(t *testing.T, p *controlPlane) {
	t.Helper()
	var count int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM sandboxes WHERE state NOT IN ('killed', 'failed')").Scan(&count))
	require.Zero(t, count)
}

// What the official clients send unasked must pass.
func TestCreate_TakesWhatClientsSendUnasked(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, body := range []string{
		`{"templateID":"base","timeout":300}`,
		`{"templateID":"base","timeout":300,"secure":true,"allow_internet_access":true,"autoPause":false,"metadata":{},"envVars":{}}`,
		`{"templateID":"base","autoPauseMemory":true,"autoResume":{"enabled":false},"mcp":null,"iam":{},"volumeMounts":[],"network":{}}`,
		`{"templateID":"base","network":{"allowOut":[],"denyOut":["0.0.0.0/0"],"rules":{},"httpsPorts":[]}}`,
		`{"templateID":"base","metadata":null,"envVars":null,"network":null,"timeout":null}`,
	} {
		p.create(t, body)
	}
}

func TestCreate_DeniesTheInternetWhenAsked(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for body, denied := range map[string]bool{
		`{"templateID":"base"}`:                                     false,
		`{"templateID":"base","allow_internet_access":true}`:        false,
		`{"templateID":"base","allow_internet_access":false}`:       true,
		`{"templateID":"base","network":{"denyOut":["0.0.0.0/0"]}}`: true,
	} {
		s := p.create(t, body)
		require.Equal(t, denied, p.agent.Network(s.SandboxID).DenyInternet, body)
	}
}

func TestSandboxID_IsNotFoundOrMalformed(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for id, want := range map[string]int{
		"i0123456789abcdefghi": http.StatusNotFound, "i0": http.StatusNotFound, "not-a-sandbox": http.StatusNotFound,
		"I0123456789ABCDEFGHI": http.StatusNotFound, strings.Repeat("a", 5000): http.StatusNotFound,
		"i'%20OR%201=1--": http.StatusBadRequest, "..%2F..%2Fetc": http.StatusBadRequest, "i%00": http.StatusBadRequest,
		"%FF%FE": http.StatusBadRequest, "-": http.StatusBadRequest, "i.0": http.StatusBadRequest,
	} {
		for _, r := range routesOf(id) {
			if strings.Contains(r.path, id) {
				got := p.do(t, r.method, r.path, r.body)
				require.Equal(t, want, got.status, "%s %.64s: %s", r.method, r.path, got.body)
			}
		}
	}
}

func TestIDs_ThatAreMalformedAreRefused(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, path := range []string{
		"/templates/base/builds/x/status", "/templates/base/builds/x/logs", "/volumes/a.b", "/templates/aliases/a:b:c",
		"/snapshots?sandboxID=.", "/sandboxes/metrics?sandbox_ids=.", "/teams/x/metrics", "/templates?teamID=x",
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, path, ""))
	}
}

func TestAPIKey_IsStoredAsAHashOnly(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.do(t, http.MethodGet, "/sandboxes", "")
	found, err := p.pool.Query(t.Context(), "SELECT to_jsonb(k)::text FROM api_keys k")
	require.NoError(t, err)
	defer found.Close()
	for found.Next() {
		var text string
		require.NoError(t, found.Scan(&text))
		require.NotContains(t, text, strings.TrimPrefix(p.key, auth.KeyPrefix))
		var row struct {
			LastUsedAt *string `json:"last_used_at"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &row))
		require.NotNil(t, row.LastUsedAt)
	}
	require.NoError(t, found.Err())
}
