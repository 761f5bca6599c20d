package keys_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// admin is the admin of the installation, who works on a team.
func admin(t *testing.T, pool *pgxpool.Pool) auth.Principal {
	t.Helper()
	team, err := identity.EnsureTeam(t.Context(), pool, "team", "Team")
	require.NoError(t, err)
	return auth.Principal{Kind: auth.ByAdminToken, PlatformAdmin: true, TeamID: team.ID, Role: auth.Owner}
}

// TestEvents_AreRecordedForEachChange holds the type, the resource and the data of the
// events.
func TestEvents_AreRecordedForEachChange(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	service, by := keys.New(pool), admin(t, pool)
	_, key, err := service.IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: `a "key"`})
	require.NoError(t, err)
	require.NoError(t, service.RenameKey(t.Context(), by, by.TeamID, key.ID, "renamed"))
	require.NoError(t, service.RevokeKey(t.Context(), by, by.TeamID, key.ID))
	require.ErrorIs(t, service.RevokeKey(t.Context(), by, by.TeamID, key.ID), keys.ErrNoKey)
	require.ErrorIs(t, service.RenameKey(t.Context(), by, by.TeamID, key.ID, "again"), keys.ErrNoKey)
	listed, err := events.NewLog(pool).After(t.Context(), by.TeamID, 0, events.Filter{}, 10)
	require.NoError(t, err)
	got := []string{}
	for _, event := range listed {
		require.Equal(t, key.ID.String(), event.ResourceID)
		got = append(got, fmt.Sprint(event.Type, " ", string(event.Data)))
	}
	require.Equal(t, []string{
		`key.created {"name": "a \"key\""}`, `key.updated {"name": "renamed"}`, `key.revoked {"name": "renamed"}`,
	}, got)
}

func TestIssueKey_GrantsWhatItsMakerMay(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	service, by := keys.New(pool), admin(t, pool)
	_, all, err := service.IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "all"})
	require.NoError(t, err)
	require.Nil(t, all.Scopes)
	wanted := []auth.Permission{auth.VolumeRead, auth.SandboxRead, auth.VolumeRead}
	_, some, err := service.IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "some", Scopes: wanted})
	require.NoError(t, err)
	require.Equal(t, []auth.Permission{auth.SandboxRead, auth.VolumeRead}, some.Scopes)
	_, none, err := service.IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "none", Scopes: []auth.Permission{}})
	require.NoError(t, err)
	require.NotNil(t, none.Scopes, "none is not all")
	_, _, err = service.IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "wrong", Scopes: []auth.Permission{auth.KeyWrite}})
	require.True(t, fault.Is(err, fault.Invalid))
	past := time.Now().Add(-time.Minute)
	_, _, err = service.IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "late", ExpiresAt: &past})
	require.True(t, fault.Is(err, fault.Invalid))
	_, _, err = service.IssueKey(t.Context(), by, uuid.New(), keys.NewAPIKey{Name: "elsewhere"})
	require.ErrorIs(t, err, auth.ErrNoTeam)
	viewer := auth.Principal{Kind: auth.BySession, TeamID: by.TeamID, Role: auth.Viewer}
	_, _, err = service.IssueKey(t.Context(), viewer, by.TeamID, keys.NewAPIKey{Name: "viewer"})
	require.True(t, fault.Is(err, fault.Forbidden))

	listed, err := service.Keys(t.Context(), by.TeamID)
	require.NoError(t, err)
	require.Len(t, listed, 3)
	require.Equal(t, "none", listed[0].Name)
}

func TestEnsure_StoresAKeyOnceAndLeavesARevokedOneRevoked(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t)
	service, by, secret := keys.New(pool), admin(t, pool), auth.NewKey()
	for range 2 {
		require.NoError(t, keys.Ensure(t.Context(), pool, by.TeamID, secret, "First key"))
	}
	listed, err := service.Keys(t.Context(), by.TeamID)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.NoError(t, service.RevokeKey(t.Context(), by, by.TeamID, listed[0].ID))
	require.NoError(t, keys.Ensure(t.Context(), pool, by.TeamID, secret, "First key"))
	listed, err = service.Keys(t.Context(), by.TeamID)
	require.NoError(t, err)
	require.Empty(t, listed)
	told, err := events.NewLog(pool).After(t.Context(), by.TeamID, 0, events.Filter{Types: []string{"key.created"}}, 10)
	require.NoError(t, err)
	require.Len(t, told, 1)
}
