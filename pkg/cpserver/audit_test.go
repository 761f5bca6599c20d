package cpserver_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// auditEntry is a line of the audit log as a client sees it.
type auditEntry struct {
	ID        int64
	Actor     struct{ Kind, ID, Name string }
	Action    string
	Resource  struct{ Kind, ID string }
	Outcome   string
	Status    int
	Address   string
	UserAgent string
	RequestID string
	Details   json.RawMessage
}

// audit reads the audit log.
func (p *controlPlane) audit(t *testing.T, query string) []auditEntry {
	t.Helper()
	got := p.do(t, http.MethodGet, "/audit"+query, "")
	require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
	var entries []auditEntry
	got.decode(t, &entries)
	return entries
}

func TestAudit_SaysWhoDidWhatToWhatFromWhereAndHowItEnded(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	created := p.create(t, `{"templateID": "base", "timeout": 60}`)
	killed := p.send(t, http.MethodDelete, "/sandboxes/"+created.SandboxID, "", http.Header{
		"X-Api-Key": {p.key}, "X-Request-Id": {"request-0001"}, "User-Agent": {"a test"},
	})
	requireStatus(t, http.StatusNoContent, killed)
	require.Equal(t, "request-0001", killed.header.Get("X-Request-Id"))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes/"+created.SandboxID+"/pause", ""))

	entries := p.audit(t, "?action=sandbox.*")
	require.Len(t, entries, 3)
	pause, kill, create := entries[0], entries[1], entries[2]
	require.Equal(t, "sandbox.create", create.Action)
	require.Equal(t, created.SandboxID, create.Resource.ID)
	require.Equal(t, "sandbox.delete", kill.Action)
	require.Equal(t, "success", kill.Outcome)
	require.Equal(t, http.StatusNoContent, kill.Status)
	require.Equal(t, "api_key", kill.Actor.Kind)
	require.NotEmpty(t, kill.Actor.ID)
	require.Equal(t, "127.0.0.1", kill.Address)
	require.Equal(t, "a test", kill.UserAgent)
	require.Equal(t, "request-0001", kill.RequestID)
	require.Equal(t, "sandbox.pause", pause.Action)
	require.Equal(t, "failure", pause.Outcome)
	require.NotEmpty(t, pause.RequestID)

	require.Len(t, p.audit(t, "?resource="+created.SandboxID+"&outcome=failure"), 1)
	require.Empty(t, p.audit(t, "?actor=somebody"))
	require.Empty(t, p.audit(t, "?until=2020-01-01T00:00:00Z"))
}

func TestAudit_NotesTheUseOfAKeyOnceInAWhile(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for range 3 {
		requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/v2/sandboxes", ""))
	}
	require.Len(t, p.audit(t, "?action=key.use"), 1)
}

func TestAudit_NotesRefusals(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	_, err := p.pool.Exec(t.Context(), "UPDATE api_keys SET scopes = '{sandbox:read,audit:read}'")
	require.NoError(t, err)
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodGet, "/events", ""))
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodPost, "/sandboxes", "{}"))
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodPost, "/sandboxes", "{}", http.Header{"X-Api-Key": {"e2b_wrong"}}))
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodPost, "/sandboxes", "{}", http.Header{}))
	require.Len(t, p.audit(t, "?outcome=denied&action=sandbox.create"), 1)
	var unknown int
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_entries
		WHERE actor_kind = 'unknown' AND action = 'sandbox.create' AND outcome = 'denied'`).Scan(&unknown))
	require.Equal(t, 1, unknown, "a wrong key is noted, but not that there was none")
}

func TestAudit_NotesWhoTriesToSignIn(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodPost, "/auth/login",
		`{"email": "eve@example.com", "password": "guess guess guess"}`, http.Header{}))
	var details string
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT row_to_json(a)::text FROM audit_entries a
		WHERE action = 'auth.login' AND outcome = 'denied' AND actor_name = 'eve@example.com'`).Scan(&details))
	require.NotContains(t, details, "guess")
}

func TestAudit_ComesInPagesAndAsAFile(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for range 3 {
		p.do(t, http.MethodDelete, "/sandboxes/i0000000000000000000", "")
	}
	first := p.do(t, http.MethodGet, "/audit?limit=2&action=sandbox.delete", "")
	var page []auditEntry
	first.decode(t, &page)
	require.Len(t, page, 2)
	rest := p.audit(t, "?limit=2&action=sandbox.delete&nextToken="+first.header.Get("X-Next-Token"))
	require.Len(t, rest, 1)
	require.Less(t, rest[0].ID, page[1].ID)

	rows, err := csv.NewReader(strings.NewReader(string(p.do(t, http.MethodGet, "/audit?format=csv&action=sandbox.delete", "").body))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 4)
	lines := strings.Split(strings.TrimSpace(string(p.do(t, http.MethodGet, "/audit?format=jsonl&action=sandbox.delete", "").body)), "\n")
	require.Len(t, lines, 3)
	var entry auditEntry
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &entry))
	require.Equal(t, page[0], entry)

	for _, query := range []string{"?format=xml", "?since=yesterday", "?outcome=maybe", "?nextToken=x", "?limit=0", "?actor=%00"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/audit"+query, ""))
	}
}
