package identity

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

// recorded returns a team's events from one on, each as type, resource and data.
func (s *Service) recorded(t *testing.T, teamID uuid.UUID, after *int64) []string {
	t.Helper()
	listed, err := events.NewLog(s.pool).After(t.Context(), teamID, *after, events.Filter{}, 100)
	require.NoError(t, err)
	lines := []string{}
	for _, event := range listed {
		lines = append(lines, string(event.Type)+" "+event.ResourceID+" "+string(event.Data))
		*after = event.ID
	}
	return lines
}

func line(kind events.Type, resource fmt.Stringer, data string) string {
	return string(kind) + " " + resource.String() + " " + data
}

// TestEvents_AreRecordedForEachChange holds the type, the resource and the data of every
// event of members, and of the API keys that are revoked with them.
func TestEvents_AreRecordedForEachChange(t *testing.T) {
	t.Parallel()
	t.Run("members", testMemberEvents)
	t.Run("keys of a member who loses a role", testRevokedKeyEvents)
}

func testMemberEvents(t *testing.T) {
	t.Parallel()
	s := newService(t)
	owner, err := s.store.createUser(t.Context(), newAccount{email: "owner@example.com"})
	require.NoError(t, err)
	team, err := s.CreateTeam(t.Context(), owner.ID, "ours")
	require.NoError(t, err)
	var after int64
	require.Equal(t, []string{line(events.MemberAdded, owner.ID, `{"role": "owner"}`)}, s.recorded(t, team.ID, &after))

	by := auth.Principal{Kind: auth.ByAdminToken, PlatformAdmin: true, TeamID: team.ID, Role: auth.Owner}
	_, err = s.Invite(t.Context(), by, "grace@example.com", auth.Member)
	require.NoError(t, err)
	who := ExternalIdentity{Provider: "saml", Subject: "1", Email: "grace@example.com", EmailVerified: true}
	grace, err := s.SignInExternal(t.Context(), who, InvitedOnly, Client{})
	require.NoError(t, err)
	require.NoError(t, s.SetRole(t.Context(), by, grace.Session.UserID, auth.Admin))
	require.NoError(t, s.SetRole(t.Context(), by, grace.Session.UserID, auth.Admin))
	require.NoError(t, s.RemoveMember(t.Context(), by, grace.Session.UserID))
	require.Error(t, s.RemoveMember(t.Context(), by, owner.ID), "a team must keep an owner")
	require.Equal(t, []string{
		line(events.MemberAdded, grace.Session.UserID, `{"role": "member"}`),
		line(events.MemberUpdated, grace.Session.UserID, `{"role": "admin"}`),
		line(events.MemberUpdated, grace.Session.UserID, `{"role": "admin"}`),
		line(events.MemberRemoved, grace.Session.UserID, `{"role": "admin"}`),
	}, s.recorded(t, team.ID, &after))
}

func testRevokedKeyEvents(t *testing.T) {
	t.Parallel()
	s := newService(t)
	owner := auth.Principal{Kind: auth.ByAdminToken, PlatformAdmin: true, Role: auth.Owner}
	disabled := true
	for name, lose := range map[string]func(by auth.Principal) error{
		"disabled": func(by auth.Principal) error {
			return s.ChangeUser(t.Context(), by.UserID, UserChange{Disabled: &disabled})
		},
		"removed": func(by auth.Principal) error { return s.RemoveMember(t.Context(), owner, by.UserID) },
		"viewer":  func(by auth.Principal) error { return s.SetRole(t.Context(), owner, by.UserID, auth.Viewer) },
	} {
		by := s.admin(t)
		owner.TeamID = by.TeamID
		want := map[string]bool{}
		for _, key := range []string{"first", "second"} {
			_, made, err := keys.New(s.pool).IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: key})
			require.NoError(t, err)
			want[line(events.KeyRevoked, made.ID, `{"name": "`+key+`"}`)] = true
		}
		var after int64
		s.recorded(t, by.TeamID, &after)
		require.NoError(t, lose(by))
		switch name {
		case "removed":
			want[line(events.MemberRemoved, by.UserID, `{"role": "admin"}`)] = true
		case "viewer":
			want[line(events.MemberUpdated, by.UserID, `{"role": "viewer"}`)] = true
		}
		got := map[string]bool{}
		for _, line := range s.recorded(t, by.TeamID, &after) {
			got[line] = true
		}
		require.Equal(t, want, got, name)
	}
}
