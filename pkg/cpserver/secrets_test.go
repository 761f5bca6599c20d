package cpserver_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// secret is a secret as a client sees it.
type secret struct {
	SecretID, Name       string
	CurrentVersion       int64
	Metadata             map[string]string
	CreatedAt, UpdatedAt string
}

func (p *controlPlane) makeSecret(t *testing.T, name, value string) secret {
	t.Helper()
	made := p.do(t, http.MethodPost, "/secrets", `{"name":"`+name+`","value":"`+value+`"}`)
	require.Equal(t, http.StatusCreated, made.status, "body: %s", made.body)
	var s secret
	made.decode(t, &s)
	return s
}

const referringNetwork = `{"rules":{"api.example.com":[{"transform":{"headers":{"Authorization":"Bearer ${e2b.secrets.API-key}"}}}]}}`

func TestSecrets_AreKeptSealedAndNeverTold(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	const value = "a value that nobody is told"
	made := p.makeSecret(t, "API-key", value)
	require.Regexp(t, `^sec_[a-z0-9]{20}$`, made.SecretID)
	require.Equal(t, "api-key", made.Name, "names are kept in lower case")
	require.EqualValues(t, 1, made.CurrentVersion)
	require.Equal(t, map[string]string{}, made.Metadata)
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, "/secrets", `{"name":"api-KEY","value":"x"}`))

	var changed, got secret
	updated := p.do(t, http.MethodPost, "/secrets/Api-key", `{"value":"`+value+` 2","metadata":{"owner":"me"}}`)
	requireStatus(t, http.StatusOK, updated)
	updated.decode(t, &changed)
	require.Equal(t, made.SecretID, changed.SecretID)
	require.EqualValues(t, 2, changed.CurrentVersion)
	require.Equal(t, made.CreatedAt, changed.CreatedAt)
	p.do(t, http.MethodPost, "/secrets/"+made.SecretID, `{"value":"`+value+` 3"}`).decode(t, &changed)
	require.Equal(t, map[string]string{"owner": "me"}, changed.Metadata, "what is not given stays")
	p.do(t, http.MethodGet, "/secrets/api-key", "").decode(t, &got)
	require.Equal(t, changed, got)

	s := p.create(t, `{"templateID":"base","network":`+referringNetwork+`}`)
	shown := p.shownNetwork(t, s.SandboxID)
	require.Contains(t, shown, `"***${e2b.secrets.API-key}"`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/secrets/"+made.SecretID, ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodDelete, "/secrets/"+made.SecretID, ""))
	actions := map[string]string{}
	for _, entry := range p.audit(t, "?action=secret.*") {
		if entry.Outcome == "success" && strings.HasPrefix(entry.Resource.ID, "sec_") {
			actions[entry.Action] = entry.Resource.ID
		}
	}
	require.Equal(t, map[string]string{"secret.create": made.SecretID, "secret.update": made.SecretID, "secret.delete": made.SecretID}, actions)

	for _, path := range []string{"/secrets", "/secrets/api-key", "/sandboxes/" + s.SandboxID, "/v2/sandboxes", "/audit", "/v2/sandboxes/" + s.SandboxID + "/logs"} {
		require.NotContains(t, string(p.do(t, http.MethodGet, path, "").body), value, path)
	}
	for _, table := range []string{"secrets", "sandboxes", "events", "audit_entries", "sandbox_logs", "river_job"} {
		var stored int
		require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table+" x WHERE x::text LIKE '%'||$1||'%'", value).Scan(&stored))
		require.Zero(t, stored, table)
	}
	var events []string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT array_agg(type ORDER BY id) FROM events WHERE resource_id = $1", made.SecretID).Scan(&events))
	require.Equal(t, []string{"secret.created", "secret.updated", "secret.updated", "secret.deleted"}, events)
}

func TestSecrets_AreListedInPages(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, name := range []string{"a", "b", "c"} {
		p.makeSecret(t, name, "v")
	}
	var names []string
	token := ""
	for range 3 {
		var page []secret
		got := p.do(t, http.MethodGet, "/secrets?limit=1&nextToken="+token, "")
		got.decode(t, &page)
		require.Len(t, page, 1)
		names = append(names, page[0].Name)
		token = got.header.Get("X-Next-Token")
	}
	require.Equal(t, []string{"c", "b", "a"}, names)
	require.Empty(t, token)
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "nextToken=x"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/secrets?"+query, ""))
	}
}

func TestSecrets_RefuseWhatIsMalformed(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.makeSecret(t, strings.Repeat("n", 128), strings.Repeat("v", 64<<10))
	pairs := map[string]string{}
	for i := range 33 {
		pairs[strings.Repeat("k", i+1)] = "v"
	}
	many, err := json.Marshal(pairs)
	require.NoError(t, err)
	for _, body := range []string{
		`{}`, `[]`, `{"name":"a"}`, `{"value":"v"}`, `{"name":"","value":"v"}`, `{"name":"a b","value":"v"}`, `{"name":"é","value":"v"}`,
		`{"name":"a\u0000","value":"v"}`, `{"name":"sec_a","value":"v"}`, `{"name":"SEC_a","value":"v"}`, `{"name":"a","value":""}`,
		`{"name":"a","value":7}`, `{"name":"` + strings.Repeat("n", 129) + `","value":"v"}`,
		`{"name":"a","value":"` + strings.Repeat("v", 64<<10+1) + `"}`, `{"name":"a","value":"v","metadata":{"a":7}}`,
		`{"name":"a","value":"v","metadata":{"a":"` + strings.Repeat("m", 1025) + `"}}`, `{"name":"a","value":"v","metadata":{"":"m"}}`,
		`{"name":"a","value":"v","metadata":{"` + strings.Repeat("k", 129) + `":"m"}}`, `{"name":"a","value":"v","metadata":` + string(many) + `}`,
	} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/secrets", body))
	}
	later := p.do(t, http.MethodPost, "/secrets", `{"name":"a","value":"v","color":"red","VALUE":"w"}`)
	requireStatus(t, http.StatusCreated, later)
	require.Equal(t, "color, VALUE", later.header.Get("Wrenn-Ignored-Fields"))
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/secrets/"+strings.Repeat("n", 128), `{"metadata":{}}`))
	for _, key := range []string{"unknown", "sec_" + strings.Repeat("a", 20), "%20", strings.Repeat("n", 300)} {
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/secrets/"+key, ""))
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/secrets/"+key, `{"value":"v"}`))
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodDelete, "/secrets/"+key, ""))
	}
}

func TestSecrets_OfAnotherTeamAreNotThere(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	made := p.makeSecret(t, "api-key", "v")
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	for _, key := range []string{made.SecretID, made.Name} {
		requireStatus(t, http.StatusNotFound, p.send(t, http.MethodGet, "/secrets/"+key, "", other))
		requireStatus(t, http.StatusNotFound, p.send(t, http.MethodPost, "/secrets/"+key, `{"value":"w"}`, other))
		requireStatus(t, http.StatusNotFound, p.send(t, http.MethodDelete, "/secrets/"+key, "", other))
	}
	require.JSONEq(t, `[]`, string(p.send(t, http.MethodGet, "/secrets", "", other).body))
	requireStatus(t, http.StatusBadRequest, p.send(t, http.MethodPost, "/sandboxes", `{"templateID":"base","network":`+referringNetwork+`}`, other))
	requireStatus(t, http.StatusCreated, p.send(t, http.MethodPost, "/secrets", `{"name":"api-key","value":"w"}`, other))
}

func TestSecrets_ReachOnlyTheHostsOfSandboxesThatReferToThem(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.makeSecret(t, "api-key", "one")
	p.makeSecret(t, "unused", "nobody's")
	s := p.create(t, `{"templateID":"base","network":`+referringNetwork+`}`)
	plain := p.create(t, `{"templateID":"base"}`)
	require.Equal(t, map[string]string{"api-key": "one"}, p.agent.Secrets(s.SandboxID))
	require.Empty(t, p.agent.Secrets(plain.SandboxID))
	require.Equal(t, "Bearer ${e2b.secrets.API-key}", p.agent.Network(s.SandboxID).Rules[0].SetHeaders["Authorization"])

	path := "/sandboxes/" + s.SandboxID
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", ""))
	require.Empty(t, p.agent.Secrets(s.SandboxID))
	requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, "/secrets/api-key", `{"value":"two"}`))
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, path+"/resume", `{"timeout":60}`))
	require.Equal(t, map[string]string{"api-key": "two"}, p.agent.Secrets(s.SandboxID))

	var forks []struct{ Sandbox sandbox }
	p.do(t, http.MethodPost, path+"/fork", `{}`).decode(t, &forks)
	require.Len(t, forks, 1)
	fork := forks[0].Sandbox.SandboxID
	require.Equal(t, map[string]string{"api-key": "two"}, p.agent.Secrets(fork))

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPut, path+"/network",
		`{"rules":{"a.com":[{"transform":{"headers":{"X-A":"${e2b.secrets.unused}"}}}]}}`))
	require.Equal(t, map[string]string{"unused": "nobody's"}, p.agent.Secrets(s.SandboxID))
	for _, wrong := range []string{"${e2b.secrets.none}", "${e2b.secrets.}", "${e2b.secrets.a b}"} {
		refused := p.do(t, http.MethodPut, path+"/network", `{"rules":{"a.com":[{"transform":{"headers":{"X-A":"`+wrong+`"}}}]}}`)
		requireStatus(t, http.StatusBadRequest, refused)
		require.Contains(t, string(refused.body), "network.rules")
	}
	requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, "/secrets/unused", `{"value":"two\nlines"}`))
	refused := p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","network":{"rules":{"a.com":[{"transform":{"headers":{"X-A":"${e2b.secrets.unused}"}}}]}}}`)
	requireStatus(t, http.StatusBadRequest, refused)
	require.NotContains(t, string(refused.body), "lines")
}

func TestSecrets_ThatChangeReachSandboxesThatRun(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.makeSecret(t, "api-key", "one")
	s := p.create(t, `{"templateID":"base","network":`+referringNetwork+`}`)
	holds := func(want map[string]string) {
		t.Helper()
		eventually(t, "the sandbox must have what is there now", func() bool {
			held := p.agent.Secrets(s.SandboxID)
			return len(held) == len(want) && held["api-key"] == want["api-key"]
		})
	}
	var failed atomic.Bool
	p.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "set secrets" && failed.CompareAndSwap(false, true) {
			return errors.New("not this time")
		}
		return nil
	})
	requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, "/secrets/api-key", `{"value":"two"}`))
	holds(map[string]string{"api-key": "two"})
	require.True(t, failed.Load(), "it was tried again")
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/secrets/api-key", ""))
	holds(nil)
	p.makeSecret(t, "api-key", "three")
	holds(map[string]string{"api-key": "three"})
}

func TestSecrets_ComeBackToAHostThatHasForgottenThem(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.makeSecret(t, "api-key", "one")
	s := p.create(t, `{"templateID":"base","network":`+referringNetwork+`}`)
	p.agent.ForgetSecrets()
	other := p.create(t, `{"templateID":"base"}`)
	p.agent.Put(other.SandboxID, pb.SandboxState_SANDBOX_STATE_PAUSED) // a change makes the control plane look
	eventually(t, "the sandbox must have its secret again", func() bool { return p.agent.Secrets(s.SandboxID)["api-key"] == "one" })
}

func TestSecrets_AreUsedByNoKeyThatMayNotSeeThem(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.makeSecret(t, "api-key", "one")
	key := auth.NewKey()
	mask := auth.MaskKey(key)
	var team uuid.UUID
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE slug = 'default'").Scan(&team))
	_, err := rows.New(p.pool).CreateAPIKey(t.Context(), rows.CreateAPIKeyParams{
		ID: uuid.New(), TeamID: team, Name: "narrow", KeyHash: auth.HashKey(key), KeyPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
	})
	require.NoError(t, err)
	_, err = p.pool.Exec(t.Context(), "UPDATE api_keys SET scopes = '{sandbox:write}' WHERE name = 'narrow'")
	require.NoError(t, err)
	narrow := http.Header{"X-Api-Key": {key}}
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodPost, "/sandboxes", `{"templateID":"base","network":`+referringNetwork+`}`, narrow))
	s := p.create(t, `{"templateID":"base"}`)
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodPut, "/sandboxes/"+s.SandboxID+"/network", referringNetwork, narrow))
	requireStatus(t, http.StatusNoContent, p.send(t, http.MethodPut, "/sandboxes/"+s.SandboxID+"/network", `{}`, narrow))
}

func TestSecrets_AreSealedAgainWithANewKey(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	p.makeSecret(t, "api-key", "one")
	require.NoError(t, p.stop())
	sealed := func() (value []byte) {
		require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT sealed_value FROM secrets").Scan(&value))
		return value
	}
	before := sealed()
	newest := filepath.Join(t.TempDir(), "secret")
	key := make([]byte, auth.SecretKeySize)
	_, _ = rand.Read(key)
	require.NoError(t, os.WriteFile(newest, key, 0o600))
	p.config.OldSecretKeyFiles = append(p.config.OldSecretKeyFiles, p.config.SecretKeyFile)
	p.config.SecretKeyFile = newest
	p.start(t)
	eventually(t, "the value must be sealed again", func() bool { return string(sealed()[:9]) != string(before[:9]) })
	require.NoError(t, p.stop())
	p.config.OldSecretKeyFiles = nil
	p.start(t)
	s := p.create(t, `{"templateID":"base","network":`+referringNetwork+`}`)
	require.Equal(t, map[string]string{"api-key": "one"}, p.agent.Secrets(s.SandboxID))
}
