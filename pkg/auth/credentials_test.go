package auth_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// Official clients send an API key and an access token together.
func TestAuthorize_OfSeveralCredentialsTakesTheOneThatTheRouteIsFor(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	queries, authenticator := rows.New(pool), auth.NewAuthenticator(pool, "")
	key, token, userID := auth.NewKey(), auth.NewAccessToken(), uuid.New()
	team, err := queries.EnsureTeam(t.Context(), rows.EnsureTeamParams{ID: uuid.New(), Slug: "team", Name: "Team"})
	require.NoError(t, err)
	_, err = queries.IssueAPIKey(t.Context(), rows.IssueAPIKeyParams{ID: uuid.New(), TeamID: team.ID, KeyHash: auth.HashKey(key)})
	require.NoError(t, err)
	_, err = queries.CreateUser(t.Context(), rows.CreateUserParams{ID: userID, Email: "ada@example.com"})
	require.NoError(t, err)
	_, err = queries.CreateAccessToken(t.Context(), rows.CreateAccessTokenParams{ID: uuid.New(), UserID: userID, TokenHash: auth.HashKey(token)})
	require.NoError(t, err)

	for name, test := range map[string]struct {
		rule  auth.Rule
		given auth.Credentials
		kind  auth.Kind
		code  fault.Code
	}{
		"both, for a team":                {auth.InTeam(auth.SandboxRead), auth.Credentials{APIKey: key, Bearer: token}, auth.ByKey, ""},
		"both, for a user":                {auth.AnyUser(), auth.Credentials{APIKey: key, Bearer: token}, auth.ByAccessToken, ""},
		"a key where a user is wanted":    {auth.AnyUser(), auth.Credentials{APIKey: key}, auth.ByKey, fault.Forbidden},
		"a wrong key and a right token":   {auth.InTeam(auth.SandboxRead), auth.Credentials{APIKey: auth.NewKey(), Bearer: token}, "", fault.Unauthenticated},
		"a right key and a wrong token":   {auth.AnyUser(), auth.Credentials{APIKey: key, Bearer: auth.NewAccessToken()}, "", fault.Unauthenticated},
		"an admin token where none is":    {auth.ByAdmin(), auth.Credentials{AdminToken: "x"}, "", fault.Unauthenticated},
		"a user without any team":         {auth.InTeam(auth.SandboxRead), auth.Credentials{Bearer: token}, "", fault.Forbidden},
		"a rule that refuses all":         {auth.Rule{}, auth.Credentials{APIKey: key}, auth.ByKey, fault.Forbidden},
		"nothing where nothing is needed": {auth.Public(), auth.Credentials{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := authenticator.Authorize(t.Context(), test.rule, test.given)
			require.Equal(t, test.code, fault.CodeOf(err), "%v", err)
			if err == nil {
				require.Equal(t, test.kind, got.Kind)
			}
		})
	}
}
