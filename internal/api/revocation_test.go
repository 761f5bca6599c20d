package api_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// credentials are what a user of the team has and has made.
type credentials struct {
	access http.Header // an access token
	key    createdKey
	// invitation is the token of one that the user has sent.
	invitation string
}

func (b *browser) credentials(t *testing.T) credentials {
	t.Helper()
	made := credentials{access: bearer(b.accessToken(t)), key: b.key(t, nil)}
	b.must(t, http.StatusCreated, http.MethodPost, "/teams/"+b.team.ID.String()+"/invitations", fields{"email": "carol@example.com", "role": "admin"}, nil)
	_, made.invitation = b.mails.next(t)
	return made
}

// tokenEpoch is what the tokens of a team's sandboxes and volumes are derived from.
func (w *world) tokenEpoch(t *testing.T, team uuid.UUID) int64 {
	t.Helper()
	epoch, err := w.queries.GetTokenEpoch(t.Context(), team)
	require.NoError(t, err)
	return epoch
}

// requireRevoked holds that nothing which was made lets anybody into the team.
func (w *world) requireRevoked(t *testing.T, made credentials) {
	t.Helper()
	stranger := w.browser(t)
	got := stranger.send(t, http.MethodGet, "/api-keys", nil, made.access.Clone())
	require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, got.status, "by access token: %s", got.body)
	require.Error(t, authorized(t, w, byKey(made.key.Key), auth.InTeam(auth.SandboxRead)), "by API key")
	stranger.must(t, http.StatusBadRequest, http.MethodPost, "/auth/invitations/show", fields{"token": made.invitation}, nil)
}

func (b *browser) secondTeam(t *testing.T) uuid.UUID {
	t.Helper()
	var team struct{ TeamID uuid.UUID }
	b.must(t, http.StatusCreated, http.MethodPost, "/teams", fields{"name": "Second"}, &team)
	return team.TeamID
}

func TestRevocation_OfARemovedMemberTakesWhatTheMemberMadeForTheTeam(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	bob := owner.member(t, "bob@example.com", "admin")
	second, owners, made := bob.secondTeam(t), owner.key(t, nil), bob.credentials(t)
	before := w.tokenEpoch(t, w.team.ID)
	owner.must(t, http.StatusNoContent, http.MethodDelete, "/teams/"+w.team.ID.String()+"/members/"+bob.userID.String(), nil, nil)

	elsewhere := made.access.Clone()
	elsewhere.Set("X-Team-ID", second.String())
	require.Equal(t, http.StatusOK, w.browser(t).send(t, http.MethodGet, "/api-keys", nil, elsewhere).status, "in a team of their own they work on")
	made.access.Set("X-Team-ID", w.team.ID.String())
	w.requireRevoked(t, made)
	require.Greater(t, w.tokenEpoch(t, w.team.ID), before)
	require.Zero(t, w.tokenEpoch(t, second))
	require.NoError(t, authorized(t, w, byKey(owners.Key), auth.InTeam(auth.SandboxRead)), "what others made goes on")
}

func TestRevocation_ByALowerRoleTakesWhatTheMemberCouldNotMakeNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	bob := owner.member(t, "bob@example.com", "admin")
	all, made := bob.key(t, nil), bob.credentials(t)
	writing := bob.key(t, fields{"scopes": []string{"sandbox:read", "sandbox:write"}})
	reading := bob.key(t, fields{"scopes": []string{"sandbox:read"}})
	become := func(role string) {
		t.Helper()
		owner.must(t, http.StatusNoContent, http.MethodPatch, "/teams/"+w.team.ID.String()+"/members/"+bob.userID.String(), fields{"role": role}, nil)
	}
	works := func(key createdKey) bool {
		return authorized(t, w, byKey(key.Key), auth.InTeam(auth.SandboxRead)) == nil
	}
	before := w.tokenEpoch(t, w.team.ID)
	become("owner")
	become("admin")
	require.True(t, works(all) && works(writing) && works(reading), "an admin's key has all scopes too")
	become("member")
	require.True(t, works(writing) && works(reading))
	require.False(t, works(all))
	w.browser(t).must(t, http.StatusBadRequest, http.MethodPost, "/auth/invitations/show", fields{"token": made.invitation}, nil)
	require.Equal(t, before, w.tokenEpoch(t, w.team.ID), "a member may read tokens")
	become("viewer")
	require.True(t, works(reading))
	require.False(t, works(writing))
	require.Greater(t, w.tokenEpoch(t, w.team.ID), before)
}

func TestRevocation_OfADisabledUserTakesAllThatTheUserHasAndMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	bob := owner.member(t, "bob@example.com", "admin")
	second, made := bob.secondTeam(t), bob.credentials(t)
	before := w.tokenEpoch(t, w.team.ID)
	path := "/admin/users/" + bob.userID.String()
	owner.must(t, http.StatusNoContent, http.MethodPatch, path, fields{"disabled": true}, nil)
	w.requireRevoked(t, made)
	require.Greater(t, w.tokenEpoch(t, w.team.ID), before)
	require.Positive(t, w.tokenEpoch(t, second))

	owner.must(t, http.StatusNoContent, http.MethodPatch, path, fields{"disabled": false}, nil)
	w.requireRevoked(t, made)
	require.Equal(t, http.StatusUnauthorized, bob.do(t, http.MethodGet, "/me", nil).status)
	require.Equal(t, http.StatusOK, bob.login(t, "bob@example.com", password).status)
}

func TestRevocation_ByANewPasswordTakesAllThatTheUserHasAndMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	bob := owner.member(t, "bob@example.com", "admin")
	made := bob.credentials(t)
	before := w.tokenEpoch(t, w.team.ID)
	stranger := w.browser(t)
	stranger.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset-request", fields{"email": "bob@example.com"}, nil)
	_, token := w.mails.next(t)
	stranger.must(t, http.StatusNoContent, http.MethodPost, "/auth/password/reset", fields{"token": token, "password": "another " + password}, nil)
	w.requireRevoked(t, made)
	require.Greater(t, w.tokenEpoch(t, w.team.ID), before)
	require.Equal(t, http.StatusUnauthorized, bob.do(t, http.MethodGet, "/me", nil).status)
}

func TestRevocation_ByAChangedPasswordLeavesTheKeysOfTeams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.firstAdmin(t).member(t, "bob@example.com", "admin")
	made := bob.credentials(t)
	before := w.tokenEpoch(t, w.team.ID)
	bob.must(t, http.StatusOK, http.MethodPost, "/auth/password/change", fields{"currentPassword": password, "newPassword": "another " + password}, nil)
	require.Equal(t, http.StatusUnauthorized, w.browser(t).send(t, http.MethodGet, "/me", nil, made.access).status)
	require.Greater(t, w.tokenEpoch(t, w.team.ID), before)
	require.NoError(t, authorized(t, w, byKey(made.key.Key), auth.InTeam(auth.SandboxRead)))
}

func TestRevocation_OfAKeyTakesTheTokensThatItCouldRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	for _, test := range []struct {
		scopes []string
		reads  int64
	}{{nil, 1}, {[]string{"sandbox:write"}, 1}, {[]string{"volume:write"}, 1}, {[]string{"sandbox:read", "volume:read"}, 0}, {[]string{}, 0}} {
		wanted := fields{}
		if test.scopes != nil {
			wanted["scopes"] = test.scopes
		}
		key, before := owner.key(t, wanted), w.tokenEpoch(t, w.team.ID)
		owner.must(t, http.StatusNoContent, http.MethodDelete, "/api-keys/"+key.ID.String(), nil, nil)
		require.Equal(t, before+test.reads, w.tokenEpoch(t, w.team.ID), "%v", test.scopes)
	}
}

func TestAPIKey_IsChangedByItsMakerAndByWhoIsNotBelow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	people := map[string]*browser{"owner": w.firstAdmin(t)}
	for _, role := range []string{"admin", "member", "another member"} {
		name := role
		if role == "another member" {
			name = "member"
		}
		people[role] = people["owner"].member(t, role[:2]+"@example.com", name)
	}
	installations := http.Header{"X-Admin-Token": {adminToken}, "X-Team-Id": {w.team.ID.String()}}
	for _, test := range []struct {
		by, maker string
		may       bool
	}{
		{"member", "member", true},
		{"member", "another member", true},
		{"member", "admin", false},
		{"member", "owner", false},
		{"member", "nobody", false},
		{"admin", "member", true},
		{"admin", "owner", false},
		{"admin", "nobody", true},
		{"owner", "admin", true},
	} {
		var key createdKey
		if maker := people[test.maker]; maker != nil {
			key = maker.key(t, nil)
		} else {
			key = people["owner"].key(t, nil)
			people["owner"].execute(t, "UPDATE api_keys SET created_by = NULL WHERE id = $1", key.ID)
		}
		renamed, revoked := http.StatusOK, http.StatusNoContent
		if !test.may {
			renamed, revoked = http.StatusForbidden, http.StatusForbidden
		}
		by := people[test.by]
		by.must(t, renamed, http.MethodPatch, "/api-keys/"+key.ID.String(), fields{"name": "new"}, nil)
		by.must(t, revoked, http.MethodDelete, "/api-keys/"+key.ID.String(), nil, nil)
		if !test.may {
			require.NoError(t, authorized(t, w, byKey(key.Key), auth.InTeam(auth.SandboxRead)))
			got := w.browser(t).send(t, http.MethodDelete, "/api-keys/"+key.ID.String(), nil, installations.Clone())
			require.Equal(t, http.StatusNoContent, got.status, "the installation's admin may: %s", got.body)
		}
		require.Error(t, authorized(t, w, byKey(key.Key), auth.InTeam(auth.SandboxRead)))
	}
}
