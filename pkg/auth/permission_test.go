package auth_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// What each role adds to the one below it.
func TestRoles_HaveThePermissionsOfTheTable(t *testing.T) {
	t.Parallel()
	added := []struct {
		role        auth.Role
		permissions []auth.Permission
	}{
		{auth.Viewer, []auth.Permission{
			"sandbox:read", "template:read", "volume:read", "secret:read", "usage:read", "event:read", "member:read", "team:read",
		}},
		{auth.Member, []auth.Permission{
			"sandbox:write", "template:write", "volume:write", "secret:write", "channel:read", "key:read", "key:write",
		}},
		{auth.Admin, []auth.Permission{"channel:write", "audit:read", "member:write", "team:write"}},
		{auth.Owner, []auth.Permission{"team:delete"}},
	}
	var all []auth.Permission
	for _, step := range added {
		all = append(all, step.permissions...)
		require.ElementsMatch(t, all, step.role.Permissions(), "%s", step.role)
		for _, other := range auth.Owner.Permissions() {
			require.Equal(t, slices.Contains(all, other), step.role.Has(other), "%s %s", step.role, other)
		}
	}
	for _, unknown := range []auth.Role{"", "root", "OWNER"} {
		require.Empty(t, unknown.Permissions())
		require.False(t, auth.IsRole(string(unknown)))
		require.False(t, unknown.AtLeast(auth.Viewer))
		require.False(t, auth.Owner.AtLeast(unknown))
	}
	require.False(t, auth.Owner.Has("sandbox:everything"))
}

func TestMay_LimitsKeysToTheirScopesAndNeverLetsThemManagePeopleOrKeys(t *testing.T) {
	t.Parallel()
	unlimited := auth.Principal{Kind: auth.ByKey}
	limited := auth.Principal{Kind: auth.ByKey, Scopes: []auth.Permission{auth.SandboxRead, auth.MemberWrite}}
	none := auth.Principal{Kind: auth.ByKey, Scopes: []auth.Permission{}}
	for _, permission := range auth.Owner.Permissions() {
		forKeys := !slices.Contains([]auth.Permission{auth.KeyRead, auth.KeyWrite, auth.MemberWrite, auth.TeamWrite, auth.TeamDelete}, permission)
		require.Equal(t, forKeys, auth.IsScope(string(permission)), "%s", permission)
		require.Equal(t, forKeys, unlimited.May(permission), "%s", permission)
		require.Equal(t, permission == auth.SandboxRead, limited.May(permission), "%s", permission)
		require.False(t, none.May(permission), "%s", permission)
		require.False(t, auth.Principal{}.May(permission), "%s", permission)
	}
	require.False(t, auth.IsScope("sandbox:*"))
}

func TestRules_AcceptTheKindsOfTheirAudience(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule  auth.Rule
		kinds []auth.Kind
	}{
		"the zero rule": {auth.Rule{}, nil},
		"a user":        {auth.AnyUser(), []auth.Kind{auth.BySession, auth.ByAccessToken}},
		"a member":      {auth.ByMember(auth.KeyRead), []auth.Kind{auth.BySession, auth.ByAccessToken, auth.ByAdminToken}},
		"a team":        {auth.InTeam(auth.SandboxRead), []auth.Kind{auth.ByKey, auth.BySession, auth.ByAccessToken, auth.ByAdminToken}},
		"an admin":      {auth.ByAdmin(), []auth.Kind{auth.BySession, auth.ByAccessToken, auth.ByAdminToken}},
	} {
		for _, kind := range []auth.Kind{"", auth.ByKey, auth.BySession, auth.ByAccessToken, auth.ByAdminToken} {
			require.Equal(t, slices.Contains(test.kinds, kind), test.rule.Accepts(kind), "%s: %q", name, kind)
		}
		require.False(t, test.rule.IsPublic(), name)
	}
	require.True(t, auth.Public().IsPublic())
}
