package identity

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestDirectory_MakesUsersWhoSignInByTheirIdentity(t *testing.T) {
	t.Parallel()
	s := newService(t)
	directory := s.Directory()
	ada := ExternalID{Provider: "saml", Subject: "ada"}
	made, err := directory.CreateUser(t.Context(), DirectoryUser{Email: "Ada@example.com", Name: "Ada", Identity: ada})
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", made.Email)
	require.False(t, made.HasPassword)
	signedIn, err := s.SignInExternal(t.Context(), ExternalIdentity{Provider: "saml", Subject: "ada"}, InvitedOnly, Client{})
	require.NoError(t, err)
	require.Equal(t, made.ID, signedIn.Session.UserID)

	_, err = directory.CreateUser(t.Context(), DirectoryUser{Email: "ada@example.com", Name: "Ada"})
	require.ErrorIs(t, err, ErrUserExists)
	_, err = directory.CreateUser(t.Context(), DirectoryUser{Email: "other@example.com", Name: "Other", Identity: ada})
	require.ErrorIs(t, err, ErrIdentityTaken)
	_, err = directory.CreateUser(t.Context(), DirectoryUser{Email: "none", Name: "None"})
	require.True(t, fault.Is(err, fault.Invalid))
	identities, err := directory.Identities(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, []ExternalID{ada}, identities)
	_, total, err := directory.Users(t.Context(), UserFilter{}, Page{Limit: 10})
	require.NoError(t, err)
	require.EqualValues(t, 1, total, "what was refused made no user")
}

func TestDirectory_ChangesAndDeactivatesUsers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	directory, by := s.Directory(), s.admin(t)
	email, name, disabled := "New@example.com", "New name", true
	changed, err := directory.UpdateUser(t.Context(), by.UserID, UserChange{Email: &email, Name: &name})
	require.NoError(t, err)
	require.Equal(t, "new@example.com", changed.Email)
	require.Equal(t, name, changed.Name)
	changed, err = directory.UpdateUser(t.Context(), by.UserID, UserChange{Disabled: &disabled})
	require.NoError(t, err)
	require.NotNil(t, changed.DisabledAt)
	_, err = auth.CurrentUser(t.Context(), s.pool, by)
	require.ErrorIs(t, err, auth.ErrRevoked, "the session has ended")

	other := s.admin(t)
	_, err = directory.UpdateUser(t.Context(), other.UserID, UserChange{Email: &email})
	require.ErrorIs(t, err, ErrUserExists)
	_, err = directory.UpdateUser(t.Context(), uuid.New(), UserChange{Name: &name})
	require.ErrorIs(t, err, ErrNoUser)
	_, err = directory.User(t.Context(), uuid.New())
	require.ErrorIs(t, err, ErrNoUser)
	admin := true
	_, err = directory.UpdateUser(t.Context(), other.UserID, UserChange{PlatformAdmin: &admin})
	require.NoError(t, err)
	_, err = directory.UpdateUser(t.Context(), other.UserID, UserChange{Disabled: &disabled})
	require.ErrorIs(t, err, ErrLastAdmin)
}

func TestDirectory_ListsUsersAndTeamsByFilter(t *testing.T) {
	t.Parallel()
	s := newService(t)
	directory := s.Directory()
	for _, email := range []string{"c@example.com", "a@example.com", "b@example.com"} {
		_, err := directory.CreateUser(t.Context(), DirectoryUser{Email: email, Name: email, Identity: ExternalID{"saml", email}})
		require.NoError(t, err)
	}
	by := s.admin(t)
	disabled, enabled := true, false
	require.NoError(t, s.ChangeUser(t.Context(), by.UserID, UserChange{Disabled: &disabled}))
	for name, test := range map[string]struct {
		filter UserFilter
		page   Page
		total  int64
		want   []string
	}{
		"a page":      {UserFilter{Provider: "saml"}, Page{Skip: 1, Limit: 1}, 3, []string{"b@example.com"}},
		"address":     {UserFilter{Email: "c@example.com"}, Page{Limit: 5}, 1, []string{"c@example.com"}},
		"identity":    {UserFilter{Provider: "saml", Subject: "a@example.com"}, Page{Limit: 5}, 1, []string{"a@example.com"}},
		"no identity": {UserFilter{Provider: "oidc", Subject: "a@example.com"}, Page{Limit: 5}, 0, []string{}},
		"none":        {UserFilter{Provider: "saml", Disabled: &disabled}, Page{Limit: 5}, 0, []string{}},
		"enabled":     {UserFilter{Provider: "saml", Disabled: &enabled}, Page{Skip: 2, Limit: 5}, 3, []string{"c@example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			users, total, err := directory.Users(t.Context(), test.filter, test.page)
			require.NoError(t, err)
			emails := []string{}
			for _, user := range users {
				emails = append(emails, user.Email)
			}
			require.Equal(t, test.want, emails)
			require.Equal(t, test.total, total)
		})
	}
	users, total, err := directory.Users(t.Context(), UserFilter{TeamID: by.TeamID, Disabled: &disabled}, Page{Limit: 5})
	require.NoError(t, err)
	require.EqualValues(t, 1, total)
	require.Equal(t, by.UserID, users[0].ID)

	teams, total, err := directory.Teams(t.Context(), TeamFilter{Name: "ours"}, Page{Limit: 5})
	require.NoError(t, err)
	require.EqualValues(t, 1, total)
	require.Equal(t, by.TeamID, teams[0].ID)
	_, total, err = directory.Teams(t.Context(), TeamFilter{Name: "theirs"}, Page{Limit: 5})
	require.NoError(t, err)
	require.Zero(t, total)
}

func TestDirectory_PutsUsersIntoTeams(t *testing.T) {
	t.Parallel()
	s := newService(t)
	directory, by := s.Directory(), s.admin(t)
	user, err := directory.CreateUser(t.Context(), DirectoryUser{Email: "grace@example.com", Name: "Grace"})
	require.NoError(t, err)
	for _, role := range []auth.Role{auth.Member, auth.Admin, auth.Admin, auth.Viewer} {
		require.NoError(t, directory.SetMember(t.Context(), by.TeamID, user.ID, role))
		got, err := s.store.roleOf(t.Context(), by.TeamID, user.ID)
		require.NoError(t, err)
		require.Equal(t, role, got)
	}
	require.NoError(t, directory.RemoveMember(t.Context(), by.TeamID, user.ID))
	require.ErrorIs(t, directory.RemoveMember(t.Context(), by.TeamID, user.ID), ErrNoMember)
	require.ErrorIs(t, directory.RemoveMember(t.Context(), uuid.New(), user.ID), ErrNoTeam)
	require.ErrorIs(t, directory.SetMember(t.Context(), uuid.New(), user.ID, auth.Viewer), ErrNoTeam)
	require.ErrorIs(t, directory.SetMember(t.Context(), by.TeamID, uuid.New(), auth.Viewer), ErrNoUser)
	require.ErrorIs(t, directory.SetMember(t.Context(), by.TeamID, user.ID, "chief"), ErrNoRole)

	members, err := directory.Members(t.Context(), by.TeamID)
	require.NoError(t, err)
	owner := members[0]
	require.Equal(t, auth.Owner, owner.Role)
	require.ErrorIs(t, directory.SetMember(t.Context(), by.TeamID, owner.UserID, auth.Admin), ErrLastOwner)
	require.ErrorIs(t, directory.RemoveMember(t.Context(), by.TeamID, owner.UserID), ErrLastOwner)
}

func TestDirectory_DeletesUsersWithAllThatOpensAnything(t *testing.T) {
	t.Parallel()
	s := newService(t)
	directory, by := s.Directory(), s.admin(t)
	ada := DirectoryUser{Email: "ada@example.com", Name: "Ada", Identity: ExternalID{Provider: "saml", Subject: "ada"}}
	made, err := directory.CreateUser(t.Context(), ada)
	require.NoError(t, err)
	require.NoError(t, directory.SetMember(t.Context(), by.TeamID, made.ID, auth.Admin))
	_, err = s.SignInExternal(t.Context(), ExternalIdentity{Provider: "saml", Subject: "ada"}, InvitedOnly, Client{})
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), `INSERT INTO api_keys (id, team_id, name, key_hash, key_prefix, value_length, masked_prefix, masked_suffix, created_by)
		VALUES ($1, $2, 'k', $3, '', 0, '', '', $4)`, uuid.New(), by.TeamID, auth.HashKey(auth.NewKey()), made.ID)
	require.NoError(t, err)

	require.NoError(t, directory.DeleteUser(t.Context(), made.ID))
	_, err = directory.User(t.Context(), made.ID)
	require.ErrorIs(t, err, ErrNoUser)
	var sessions, keys int
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM user_sessions WHERE user_id = $1),
		(SELECT count(*) FROM api_keys WHERE revoked_at IS NULL)`, made.ID).Scan(&sessions, &keys))
	require.Zero(t, sessions)
	require.Zero(t, keys, "keys that the user made are revoked")
	members, err := directory.Members(t.Context(), by.TeamID)
	require.NoError(t, err)
	require.Len(t, members, 2, "the team's owner and its other admin")
	again, err := directory.CreateUser(t.Context(), ada)
	require.NoError(t, err, "address and identity are free")
	require.NotEqual(t, made.ID, again.ID)
	require.ErrorIs(t, directory.DeleteUser(t.Context(), made.ID), ErrNoUser)
}

func TestDirectory_DeletesNeitherTheLastOwnerOfATeamNorTheLastAdmin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	directory := s.Directory()
	owner, err := directory.CreateUser(t.Context(), DirectoryUser{Email: "owner@example.com", Name: "Owner"})
	require.NoError(t, err)
	team, err := directory.CreateTeam(t.Context(), "Research", owner.ID)
	require.NoError(t, err)
	require.ErrorIs(t, directory.DeleteUser(t.Context(), owner.ID), ErrLastOwner)
	heir, err := directory.CreateUser(t.Context(), DirectoryUser{Email: "heir@example.com", Name: "Heir"})
	require.NoError(t, err)
	require.NoError(t, directory.SetMember(t.Context(), team.ID, heir.ID, auth.Owner))
	admin := true
	_, err = directory.UpdateUser(t.Context(), owner.ID, UserChange{PlatformAdmin: &admin})
	require.NoError(t, err)
	require.ErrorIs(t, directory.DeleteUser(t.Context(), owner.ID), ErrLastAdmin)
	_, err = directory.User(t.Context(), owner.ID)
	require.NoError(t, err, "what was refused deleted nothing")
	_, err = directory.UpdateUser(t.Context(), heir.ID, UserChange{PlatformAdmin: &admin})
	require.NoError(t, err)
	require.NoError(t, directory.DeleteUser(t.Context(), owner.ID))
}

func TestDirectory_MakesTeamsThatAUserOwns(t *testing.T) {
	t.Parallel()
	s := newService(t)
	few := int64(3)
	s.config.NewTeamLimits = config.TeamLimits{Sandboxes: &few}
	directory := s.Directory()
	owner, err := directory.CreateUser(t.Context(), DirectoryUser{Email: "ada@example.com", Name: "Ada"})
	require.NoError(t, err)
	made, err := directory.CreateTeam(t.Context(), "Research", owner.ID)
	require.NoError(t, err)
	members, err := directory.Members(t.Context(), made.ID)
	require.NoError(t, err)
	require.Len(t, members, 1)
	require.Equal(t, auth.Owner, members[0].Role)
	var most int64
	require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT max_sandboxes FROM team_limits WHERE team_id = $1", made.ID).Scan(&most))
	require.Equal(t, few, most)
	renamed, err := directory.RenameTeam(t.Context(), made.ID, "Science")
	require.NoError(t, err)
	require.Equal(t, "Science", renamed.Name)

	_, err = directory.CreateTeam(t.Context(), "Research", uuid.New())
	require.ErrorIs(t, err, ErrNoUser)
	_, err = directory.CreateTeam(t.Context(), "", owner.ID)
	require.True(t, fault.Is(err, fault.Invalid))
	_, err = directory.RenameTeam(t.Context(), uuid.New(), "Nothing")
	require.ErrorIs(t, err, ErrNoTeam)
	_, total, err := directory.Teams(t.Context(), TeamFilter{}, Page{Limit: 5})
	require.NoError(t, err)
	require.EqualValues(t, 1, total, "what was refused made no team")
}
