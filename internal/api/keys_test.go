package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

type createdKey struct {
	ID        uuid.UUID
	Key, Name string
	Mask      struct {
		Prefix, MaskedValuePrefix, MaskedValueSuffix string
		ValueLength                                  int
	}
	Scopes    []string
	ExpiresAt *time.Time
	LastUsed  *time.Time
	CreatedBy struct{ Email string }
}

func byKey(key string) http.Header { return http.Header{"X-Api-Key": {key}} }

// authorized says what an API key or a token is answered on a route of teams.
func authorized(t *testing.T, w *world, header http.Header, rule auth.Rule) error {
	t.Helper()
	_, err := w.server.Access.Authenticator.Authorize(t.Context(), rule, auth.Credentials{
		APIKey: header.Get("X-Api-Key"), Address: "192.0.2.1",
	})
	return err
}

func TestAPIKey_IsShownOnceAndWorksUntilRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	var made createdKey
	admin.must(t, http.StatusCreated, http.MethodPost, "/api-keys", fields{"name": "CI"}, &made)
	require.True(t, auth.IsKey(made.Key))
	require.Equal(t, "e2b_", made.Mask.Prefix)
	require.Equal(t, 40, made.Mask.ValueLength)
	require.Equal(t, made.Key[40:], made.Mask.MaskedValueSuffix)
	require.NoError(t, authorized(t, w, byKey(made.Key), auth.InTeam(auth.SandboxWrite)))
	require.Error(t, authorized(t, w, byKey(made.Key), auth.InTeam(auth.MemberWrite)))

	admin.must(t, http.StatusOK, http.MethodPatch, "/api-keys/"+made.ID.String(), fields{"name": "CD"}, nil)
	var listed []createdKey
	admin.must(t, http.StatusOK, http.MethodGet, "/api-keys", nil, &listed)
	require.Len(t, listed, 1)
	require.Equal(t, "CD", listed[0].Name)
	require.Empty(t, listed[0].Key)
	require.NotNil(t, listed[0].LastUsed)
	require.Equal(t, "ada@example.com", listed[0].CreatedBy.Email)

	got := admin.browser(t).send(t, http.MethodGet, "/api-keys", nil, byKey(made.Key))
	require.Equal(t, http.StatusForbidden, got.status, "a key cannot manage keys")
	admin.must(t, http.StatusNoContent, http.MethodDelete, "/api-keys/"+made.ID.String(), nil, nil)
	require.Error(t, authorized(t, w, byKey(made.Key), auth.InTeam(auth.SandboxRead)))
	admin.must(t, http.StatusNotFound, http.MethodDelete, "/api-keys/"+made.ID.String(), nil, nil)
}

func TestAPIKey_CanDoNoMoreThanItsScopesAndItsMaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	bob := admin.member(t, "bob@example.com", "member")
	viewer := admin.member(t, "viewer@example.com", "viewer")
	var limited, members createdKey
	admin.must(t, http.StatusCreated, http.MethodPost, "/api-keys", fields{"name": "read", "scopes": []string{"sandbox:read"}}, &limited)
	require.NoError(t, authorized(t, w, byKey(limited.Key), auth.InTeam(auth.SandboxRead)))
	require.Error(t, authorized(t, w, byKey(limited.Key), auth.InTeam(auth.SandboxWrite)))

	bob.must(t, http.StatusCreated, http.MethodPost, "/api-keys", fields{"name": "bob's"}, &members)
	require.NoError(t, authorized(t, w, byKey(members.Key), auth.InTeam(auth.SandboxWrite)))
	require.Error(t, authorized(t, w, byKey(members.Key), auth.InTeam(auth.AuditRead)), "what bob may not do his key may not")
	bob.must(t, http.StatusForbidden, http.MethodPost, "/api-keys", fields{"name": "more", "scopes": []string{"audit:read"}}, nil)
	viewer.must(t, http.StatusForbidden, http.MethodPost, "/api-keys", fields{"name": "any"}, nil)
	for _, scope := range []string{"member:write", "key:write", "everything", ""} {
		got := admin.do(t, http.MethodPost, "/api-keys", fields{"name": "x", "scopes": []string{scope}})
		require.Equal(t, http.StatusBadRequest, got.status, scope)
		require.Contains(t, got.message(t), "scopes: ")
	}
}

func TestAPIKey_Expires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	past := admin.do(t, http.MethodPost, "/api-keys", fields{"name": "x", "expiresAt": time.Now().Add(-time.Second)})
	require.Equal(t, http.StatusBadRequest, past.status)
	require.Contains(t, past.message(t), "expiresAt")
	var made createdKey
	admin.must(t, http.StatusCreated, http.MethodPost, "/api-keys", fields{"name": "x", "expiresAt": time.Now().Add(time.Hour)}, &made)
	require.NoError(t, authorized(t, w, byKey(made.Key), auth.InTeam(auth.SandboxRead)))
	_, err := w.pool.Exec(t.Context(), "UPDATE api_keys SET expires_at = now() WHERE id = $1", made.ID)
	require.NoError(t, err)
	require.Error(t, authorized(t, w, byKey(made.Key), auth.InTeam(auth.SandboxRead)))
}

func TestAPIKey_CanBeMadeByTheInstallationsAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	byAdmin := http.Header{"X-Admin-Token": {adminToken}}
	path := "/admin/teams/" + w.team.ID.String() + "/api-keys"
	require.Equal(t, http.StatusUnauthorized, b.send(t, http.MethodPost, path, fields{"name": "x"}, http.Header{"X-Admin-Token": {"wrong"}}).status)
	require.Equal(t, http.StatusNotFound, b.send(t, http.MethodPost, "/admin/teams/"+uuid.NewString()+"/api-keys", fields{"name": "x"}, byAdmin).status)
	got := b.send(t, http.MethodPost, path, fields{"name": "x"}, byAdmin)
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	require.NotContains(t, string(got.body), "createdBy")
}

func TestAccessToken_ActsForItsUserInTheTeamThatIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	bob := admin.member(t, "bob@example.com", "member")
	var other struct{ TeamID string }
	bob.must(t, http.StatusCreated, http.MethodPost, "/teams", fields{"name": "Bob's own"}, &other)
	var made struct {
		ID    uuid.UUID
		Token string
	}
	bob.must(t, http.StatusCreated, http.MethodPost, "/access-tokens", fields{"name": "laptop"}, &made)
	require.True(t, auth.IsAccessToken(made.Token))

	stranger := w.browser(t)
	bearer := func(team string) http.Header {
		header := http.Header{"Authorization": {"Bearer " + made.Token}}
		if team != "" {
			header.Set("X-Team-ID", team)
		}
		return header
	}
	get := func(path, team string) int { return stranger.send(t, http.MethodGet, path, nil, bearer(team)).status }
	require.Equal(t, http.StatusOK, get("/teams", ""))
	require.Equal(t, http.StatusOK, get("/api-keys", ""))
	require.Equal(t, http.StatusOK, get("/api-keys", other.TeamID))
	require.Equal(t, http.StatusForbidden, get("/api-keys", uuid.NewString()))
	require.Equal(t, http.StatusBadRequest, get("/api-keys", "first"))
	require.Equal(t, http.StatusForbidden, get("/teams/"+w.team.ID.String()+"/invitations", other.TeamID), "the path names the team")
	require.Equal(t, http.StatusOK, get("/teams/"+other.TeamID+"/invitations", ""))
	require.Equal(t, http.StatusForbidden, stranger.send(t, http.MethodPost, "/access-tokens", fields{"name": "x"}, bearer("")).status,
		"a token cannot make others")

	admin.must(t, http.StatusNotFound, http.MethodDelete, "/access-tokens/"+made.ID.String(), nil, nil)
	bob.must(t, http.StatusNoContent, http.MethodDelete, "/access-tokens/"+made.ID.String(), nil, nil)
	require.Equal(t, http.StatusUnauthorized, get("/teams", ""))
}
