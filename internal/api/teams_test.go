package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

func TestInvitation_LetsItsAddressIntoTheTeamOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	path := "/teams/" + w.team.ID.String() + "/invitations"
	admin.must(t, http.StatusCreated, http.MethodPost, path, fields{"email": "Bob@Example.com", "role": "viewer"}, nil)
	_, first := w.mails.next(t)
	admin.must(t, http.StatusCreated, http.MethodPost, path, fields{"email": "bob@example.com", "role": "member"}, nil)
	_, token := w.mails.next(t)

	b := w.browser(t)
	b.must(t, http.StatusBadRequest, http.MethodPost, "/auth/invitations/show", fields{"token": first}, nil)
	var shown struct {
		TeamName, Email, Role string
		HasAccount            bool
	}
	b.must(t, http.StatusOK, http.MethodPost, "/auth/invitations/show", fields{"token": token}, &shown)
	require.Equal(t, "bob@example.com", shown.Email)
	require.Equal(t, "member", shown.Role)
	require.False(t, shown.HasAccount)
	b.must(t, http.StatusOK, http.MethodPost, "/auth/invitations/register", fields{"token": token, "name": "Bob", "password": password}, nil)
	b.must(t, http.StatusBadRequest, http.MethodPost, "/auth/invitations/register", fields{"token": token, "name": "Bob", "password": password}, nil)
	var teams []struct {
		TeamID    uuid.UUID
		IsDefault bool
		Role      string
	}
	b.must(t, http.StatusOK, http.MethodGet, "/teams", nil, &teams)
	require.Len(t, teams, 1)
	require.Equal(t, w.team.ID, teams[0].TeamID)
	require.True(t, teams[0].IsDefault)
	require.Equal(t, "member", teams[0].Role)
}

func TestInvitation_IsForItsAddressOnlyAndCanBeRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	bob := admin.member(t, "bob@example.com", "member")
	var team struct{ TeamID string }
	admin.must(t, http.StatusCreated, http.MethodPost, "/teams", fields{"name": "Second"}, &team)
	path := "/teams/" + team.TeamID + "/invitations"
	admin.must(t, http.StatusCreated, http.MethodPost, path, fields{"email": "carol@example.com", "role": "admin"}, nil)
	_, carols := w.mails.next(t)
	bob.must(t, http.StatusForbidden, http.MethodPost, "/me/invitations", fields{"token": carols}, nil)
	var open []struct{ ID, Email string }
	admin.must(t, http.StatusOK, http.MethodGet, path, nil, &open)
	require.Len(t, open, 1, "the refusal did not use it up")
	admin.must(t, http.StatusNoContent, http.MethodDelete, path+"/"+open[0].ID, nil, nil)
	bob.must(t, http.StatusBadRequest, http.MethodPost, "/auth/invitations/show", fields{"token": carols}, nil)

	admin.must(t, http.StatusCreated, http.MethodPost, path, fields{"email": "bob@example.com", "role": "admin"}, nil)
	_, bobs := w.mails.next(t)
	bob.must(t, http.StatusOK, http.MethodPost, "/me/invitations", fields{"token": bobs}, nil)
	bob.must(t, http.StatusOK, http.MethodPatch, "/teams/"+team.TeamID, fields{"name": "Renamed"}, nil)
}

// Who may change whom: nobody reaches above their own role.
func TestMembers_AreChangedByTheRulesOfTheTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	people := map[string]*browser{"owner": owner}
	for _, role := range []string{"admin", "member", "viewer"} {
		people[role] = owner.member(t, role+"@example.com", role)
	}
	path := "/teams/" + w.team.ID.String() + "/members/"
	for _, test := range []struct {
		by, whom, role string
		status         int
	}{
		{"viewer", "member", "viewer", http.StatusForbidden},
		{"member", "viewer", "member", http.StatusForbidden},
		{"member", "member", "admin", http.StatusForbidden},
		{"admin", "viewer", "member", http.StatusNoContent},
		{"admin", "viewer", "viewer", http.StatusNoContent},
		{"admin", "viewer", "owner", http.StatusForbidden},
		{"admin", "admin", "owner", http.StatusForbidden},
		{"admin", "owner", "viewer", http.StatusForbidden},
		{"owner", "owner", "admin", http.StatusConflict},
		{"owner", "viewer", "king", http.StatusBadRequest},
		{"owner", "viewer", "owner", http.StatusNoContent},
		{"owner", "viewer", "viewer", http.StatusNoContent},
	} {
		got := people[test.by].do(t, http.MethodPatch, path+people[test.whom].userID.String(), fields{"role": test.role})
		require.Equal(t, test.status, got.status, "%s makes %s %s: %s", test.by, test.whom, test.role, got.body)
	}
	owner.must(t, http.StatusNotFound, http.MethodPatch, path+uuid.NewString(), fields{"role": "viewer"}, nil)
	owner.must(t, http.StatusBadRequest, http.MethodPatch, path+"x", fields{"role": "viewer"}, nil)
}

func TestMembers_WhoAreRemovedAreOutAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	admin, bob := owner.member(t, "admin@example.com", "admin"), owner.member(t, "bob@example.com", "member")
	path := "/teams/" + w.team.ID.String() + "/members"
	bob.must(t, http.StatusOK, http.MethodGet, path, nil, nil)
	bob.must(t, http.StatusForbidden, http.MethodDelete, path+"/"+admin.userID.String(), nil, nil)
	admin.must(t, http.StatusForbidden, http.MethodDelete, path+"/"+owner.userID.String(), nil, nil)
	admin.must(t, http.StatusNoContent, http.MethodDelete, path+"/"+bob.userID.String(), nil, nil)
	bob.must(t, http.StatusForbidden, http.MethodGet, path, nil, nil)
	bob.must(t, http.StatusForbidden, http.MethodGet, "/api-keys", nil, nil)
	admin.must(t, http.StatusNoContent, http.MethodDelete, path+"/"+admin.userID.String(), nil, nil)
	owner.must(t, http.StatusConflict, http.MethodDelete, path+"/"+owner.userID.String(), nil, nil)
}

func TestTeams_ThatAreNewHaveLimitsAndTheDefaultOneHasNone(t *testing.T) {
	t.Parallel()
	few := int64(3)
	w := newWorldWith(t, config.TeamLimits{Sandboxes: &few})
	w.server.Usage = usage.New(w.pool)
	admin := w.firstAdmin(t)
	var made struct{ TeamID string }
	admin.must(t, http.StatusCreated, http.MethodPost, "/teams", fields{"name": "new"}, &made)
	limit := func(team string) *int64 {
		var answer struct{ Limits struct{ MaxSandboxes *int64 } }
		admin.must(t, http.StatusOK, http.MethodGet, "/teams/"+team+"/limits", nil, &answer)
		return answer.Limits.MaxSandboxes
	}
	require.Equal(t, &few, limit(made.TeamID))
	require.Nil(t, limit(w.team.ID.String()))
}

func TestTeams_AreListedInPagesForAdmins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.firstAdmin(t)
	bob := admin.member(t, "bob@example.com", "member")
	want := []string{w.team.ID.String()}
	for _, name := range []string{"one", "two", "three", "four"} {
		var made struct{ TeamID string }
		bob.must(t, http.StatusCreated, http.MethodPost, "/teams", fields{"name": name}, &made)
		want = append(want, made.TeamID)
	}
	var listed []string
	for next := ""; ; {
		got := admin.do(t, http.MethodGet, "/admin/teams?limit=2&nextToken="+next, nil)
		var page []struct{ TeamID, Isolation string }
		require.NoError(t, json.Unmarshal(got.body, &page), "%s", got.body)
		for _, team := range page {
			listed = append(listed, team.TeamID)
			require.Equal(t, "any", team.Isolation)
		}
		if next = got.header.Get("X-Next-Token"); next == "" {
			break
		}
	}
	require.ElementsMatch(t, want, listed)
	bob.must(t, http.StatusForbidden, http.MethodGet, "/admin/teams", nil, nil)
	admin.must(t, http.StatusBadRequest, http.MethodGet, "/admin/teams?nextToken=x", nil, nil)
}

func TestTeam_DemandsAnIsolationByItsAdminsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.firstAdmin(t)
	member := owner.member(t, "bob@example.com", "member")
	leader := owner.member(t, "carol@example.com", "admin")
	path := "/teams/" + w.team.ID.String()
	member.must(t, http.StatusForbidden, http.MethodPatch, path, fields{"isolation": "vm"}, nil)
	var changed struct{ Name, Isolation string }
	leader.must(t, http.StatusOK, http.MethodPatch, path, fields{"isolation": "vm"}, &changed)
	require.Equal(t, "vm", changed.Isolation)
	leader.must(t, http.StatusOK, http.MethodPatch, path, fields{"name": "Ours"}, &changed)
	require.Equal(t, "Ours vm", changed.Name+" "+changed.Isolation)
	leader.must(t, http.StatusBadRequest, http.MethodPatch, path, fields{"isolation": "container"}, nil)
	var teams []struct{ Isolation string }
	member.must(t, http.StatusOK, http.MethodGet, "/teams", nil, &teams)
	require.Equal(t, "vm", teams[0].Isolation)
}
