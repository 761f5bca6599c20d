package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// caller is somebody who calls every route, and what is known of them.
type caller struct {
	name   string
	header http.Header
	kind   auth.Kind // "" for a credential that is not valid
	// role and scopes are what they have in the team that the paths name.
	role   auth.Role
	scopes []auth.Permission
	admin  bool
	// elsewhere says that they belong to another team and name this one only where
	// the path does; namesTeam that they name it always.
	elsewhere, namesTeam bool
	withoutCSRF          bool
}

// may is the whole of access control said a second time, in the order in which a
// request can fail: 401, 403 or, with 204, it passes.
func (c caller) may(rule auth.Rule, method string, teamInPath bool) int {
	safe := method == http.MethodGet
	switch {
	case rule.IsPublic():
		return http.StatusNoContent
	case c.kind == "":
		return http.StatusUnauthorized
	case c.withoutCSRF && !safe, !rule.Accepts(c.kind), rule == auth.ByAdmin() && !c.admin:
		return http.StatusForbidden
	case !rule.ForTeam():
		return http.StatusNoContent
	}
	namesTeam := teamInPath || c.namesTeam
	switch {
	case c.kind == auth.ByAdminToken && !namesTeam:
		return http.StatusBadRequest
	case c.admin && namesTeam:
		return http.StatusNoContent
	case c.elsewhere && namesTeam:
		return http.StatusForbidden
	}
	allowed := c.role.Has(rule.Permission())
	if c.kind == auth.ByKey {
		allowed = auth.Principal{Kind: auth.ByKey, Scopes: c.scopes}.May(rule.Permission())
	}
	if !allowed {
		return http.StatusForbidden
	}
	return http.StatusNoContent
}

// callers makes everybody whom the matrix is about.
func callers(t *testing.T, w *world) []caller {
	t.Helper()
	owner := w.firstAdmin(t)
	var secondTeam struct{ TeamID string }
	all := []caller{
		{name: "nobody"},
		{name: "a key of the wrong form", header: byKey("e2b_xyz")},
		{name: "a key that was never issued", header: byKey(auth.NewKey())},
		{name: "an access token that was never issued", header: bearer(auth.NewAccessToken())},
		{name: "a key in place of an access token", header: bearer(auth.NewKey())},
		{name: "a made-up session", header: session(auth.NewSecret(), "")},
		{name: "a wrong admin token", header: http.Header{"X-Admin-Token": {"wrong"}}},
		{name: "the admin token", header: http.Header{"X-Admin-Token": {adminToken}}, kind: auth.ByAdminToken, admin: true},
		{
			name: "the admin token for the team", kind: auth.ByAdminToken, admin: true, namesTeam: true,
			header: http.Header{"X-Admin-Token": {adminToken}, "X-Team-Id": {w.team.ID.String()}},
		},
	}
	for _, role := range auth.Roles() {
		person := owner.member(t, string(role)+"@example.com", string(role))
		all = append(all, caller{name: "the session of the " + string(role), header: person.session(t), kind: auth.BySession, role: role})
		all = append(all, caller{name: "an access token of the " + string(role), header: bearer(person.accessToken(t)), kind: auth.ByAccessToken, role: role})
		if role == auth.Owner {
			all = append(all, person.revoked(t)...)
		}
	}
	stranger := owner.member(t, "stranger@example.com", "viewer")
	stranger.must(t, http.StatusNoContent, http.MethodDelete, "/teams/"+w.team.ID.String()+"/members/"+stranger.userID.String(), nil, nil)
	stranger.must(t, http.StatusCreated, http.MethodPost, "/teams", fields{"name": "Second"}, &secondTeam)
	named := stranger.session(t)
	named.Set("X-Team-Id", w.team.ID.String())
	admin := owner.session(t)
	withoutCSRF := owner.session(t)
	withoutCSRF.Del("X-Csrf-Token")
	return append(
		append(all, keyCallers(t, owner, stranger)...),
		caller{name: "the owner of another team", header: stranger.session(t), kind: auth.BySession, role: auth.Owner, elsewhere: true},
		caller{name: "the owner of another team who names this one", header: named, kind: auth.BySession, elsewhere: true, namesTeam: true},
		caller{name: "a platform admin", header: admin, kind: auth.BySession, role: auth.Owner, admin: true},
		caller{name: "a session without its CSRF token", header: withoutCSRF, kind: auth.BySession, role: auth.Owner, admin: true, withoutCSRF: true},
	)
}

// keyCallers are API keys of all sorts.
func keyCallers(t *testing.T, owner, stranger *browser) []caller {
	t.Helper()
	full, foreign := owner.key(t, nil), stranger.key(t, nil)
	reading := owner.key(t, fields{"scopes": []string{"sandbox:read"}})
	none := owner.key(t, fields{"scopes": []string{}})
	expired, revoked := owner.key(t, fields{"expiresAt": time.Now().Add(time.Hour)}), owner.key(t, nil)
	owner.execute(t, "UPDATE api_keys SET expires_at = now() WHERE id = $1", expired.ID)
	owner.must(t, http.StatusNoContent, http.MethodDelete, "/api-keys/"+revoked.ID.String(), nil, nil)
	return []caller{
		{name: "a key", header: byKey(full.Key), kind: auth.ByKey},
		{name: "a key that may read sandboxes", header: byKey(reading.Key), kind: auth.ByKey, scopes: []auth.Permission{auth.SandboxRead}},
		{name: "a key without scopes", header: byKey(none.Key), kind: auth.ByKey, scopes: []auth.Permission{}},
		{name: "another team's key", header: byKey(foreign.Key), kind: auth.ByKey, elsewhere: true},
		{name: "an expired key", header: byKey(expired.Key)},
		{name: "a revoked key", header: byKey(revoked.Key)},
	}
}

// revoked are the ways in which a person's credentials end.
func (b *browser) revoked(t *testing.T) []caller {
	t.Helper()
	sessionOf := func() http.Header {
		again := b.world.browser(t)
		require.Equal(t, http.StatusOK, again.login(t, "owner@example.com", password).status)
		again.learn(t)
		return again.session(t)
	}
	expired, idle := sessionOf(), sessionOf()
	b.execute(t, "UPDATE user_sessions SET expires_at = now() WHERE token_hash = $1", hashOf(expired))
	b.execute(t, "UPDATE user_sessions SET last_used_at = now() - interval '30 days' WHERE token_hash = $1", hashOf(idle))
	old, deleted := b.accessToken(t), b.accessToken(t)
	b.execute(t, "UPDATE access_tokens SET expires_at = now() WHERE token_hash = $1", auth.HashKey(old))
	b.execute(t, "DELETE FROM access_tokens WHERE token_hash = $1", auth.HashKey(deleted))
	return []caller{
		{name: "an expired session", header: expired},
		{name: "a session that nobody used for long", header: idle},
		{name: "an expired access token", header: bearer(old)},
		{name: "a revoked access token", header: bearer(deleted)},
		b.disabled(t),
	}
}

// disabled is somebody who was shut out.
func (b *browser) disabled(t *testing.T) caller {
	t.Helper()
	id, token := uuid.New(), auth.NewAccessToken()
	_, err := b.queries.CreateUser(t.Context(), rows.CreateUserParams{ID: id, Email: "out@example.com", PlatformAdmin: true})
	require.NoError(t, err)
	_, err = b.queries.CreateAccessToken(t.Context(), rows.CreateAccessTokenParams{ID: uuid.New(), UserID: id, Name: "x", TokenHash: auth.HashKey(token)})
	require.NoError(t, err)
	b.execute(t, "UPDATE users SET disabled_at = now() WHERE id = $1", id)
	return caller{name: "a disabled user", header: bearer(token)}
}

func (b *browser) key(t *testing.T, wanted fields) createdKey {
	t.Helper()
	body := fields{"name": "key"}
	for name, value := range wanted {
		body[name] = value
	}
	var made createdKey
	b.must(t, http.StatusCreated, http.MethodPost, "/api-keys", body, &made)
	return made
}

func (b *browser) accessToken(t *testing.T) string {
	t.Helper()
	var made struct{ Token string }
	b.must(t, http.StatusCreated, http.MethodPost, "/access-tokens", fields{"name": "token"}, &made)
	return made.Token
}

// session is what the browser sends with each request.
func (b *browser) session(t *testing.T) http.Header {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.http.URL, nil)
	require.NoError(t, err)
	cookies := b.client.Jar.Cookies(request.URL)
	require.Len(t, cookies, 1)
	return session(cookies[0].Value, b.csrf)
}

func session(token, csrf string) http.Header {
	header := http.Header{"Cookie": {"wrenn_session=" + token}}
	if csrf != "" {
		header.Set("X-Csrf-Token", csrf)
	}
	return header
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func hashOf(session http.Header) []byte {
	return auth.HashKey(session.Get("Cookie")[len("wrenn_session="):])
}

func (w *world) execute(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	tag, err := w.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected(), statement)
}
