package identity

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// admin is an admin of a team, as the request of one was let in.
func (s *Service) admin(t *testing.T) auth.Principal {
	t.Helper()
	hash, err := s.hasher.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	user, err := s.store.createUser(t.Context(), newAccount{email: uuid.NewString() + "@example.com", passwordHash: hash})
	require.NoError(t, err)
	owner, err := s.store.createUser(t.Context(), newAccount{email: uuid.NewString() + "@example.com"})
	require.NoError(t, err)
	team, err := s.CreateTeam(t.Context(), owner.ID, "ours")
	require.NoError(t, err)
	err = s.join(t.Context(), team.ID, user.ID, auth.Admin)
	require.NoError(t, err)
	session, err := s.store.newSession(t.Context(), user.User, Client{})
	require.NoError(t, err)
	authenticator := auth.NewAuthenticator(s.pool, "")
	id := team.ID.String()
	principal, err := authenticator.Authorize(t.Context(), auth.ByMember(auth.KeyRead), auth.Credentials{Session: session.Token, HeaderTeam: id})
	require.NoError(t, err)
	return principal
}

func (s *Service) join(ctx context.Context, teamID, userID uuid.UUID, role auth.Role) error {
	return s.inTransaction(ctx, func(tx *changes) error { return tx.addMember(ctx, teamID, userID, role) })
}

// A request may wait for a row while its credential is revoked.
func TestRevocation_HoldsForRequestsThatWereInProgress(t *testing.T) {
	t.Parallel()
	owner := func(by auth.Principal) auth.Principal {
		return auth.Principal{Kind: auth.ByAdminToken, PlatformAdmin: true, TeamID: by.TeamID, Role: auth.Owner}
	}
	for name, lose := range map[string]func(*Service, context.Context, auth.Principal) error{
		"removed from the team": func(s *Service, ctx context.Context, by auth.Principal) error {
			return s.RemoveMember(ctx, owner(by), by.UserID)
		},
		"a viewer": func(s *Service, ctx context.Context, by auth.Principal) error {
			return s.SetRole(ctx, owner(by), by.UserID, auth.Viewer)
		},
		"disabled": func(s *Service, ctx context.Context, by auth.Principal) error {
			disabled := true
			return s.ChangeUser(ctx, by.UserID, UserChange{Disabled: &disabled})
		},
		"without a session": func(s *Service, ctx context.Context, by auth.Principal) error {
			return s.inTransaction(ctx, func(tx *changes) error { return tx.revokeAll(ctx, by.UserID) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			by := s.admin(t)
			friend := s.admin(t).UserID
			err := s.join(t.Context(), by.TeamID, friend, auth.Member)
			require.NoError(t, err)
			_, _, err = keys.New(s.pool).IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "before"})
			require.NoError(t, err)
			require.NoError(t, lose(s, t.Context(), by))

			refused := func(err error) {
				t.Helper()
				require.True(t, fault.Is(err, fault.Forbidden) || fault.Is(err, fault.Unauthenticated), "%v", err)
			}
			_, _, err = keys.New(s.pool).IssueKey(t.Context(), by, by.TeamID, keys.NewAPIKey{Name: "after"})
			refused(err)
			_, err = s.Invite(t.Context(), by, "friend@example.com", auth.Member)
			refused(err)
			refused(s.SetRole(t.Context(), by, friend, auth.Admin))
			if name == "disabled" || name == "without a session" {
				_, _, err = keys.New(s.pool).IssueToken(t.Context(), by, keys.NewAccessToken{Name: "after"})
				refused(err)
			}
		})
	}
}

// Passwords are hashed for so long that another one can be chosen meanwhile.
func TestSignIn_WithAPasswordThatWasReplacedMeanwhileIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	by := s.admin(t)
	checked, err := s.store.user(t.Context(), by.UserID)
	require.NoError(t, err)
	hash, err := s.hasher.Hash(t.Context(), "battery staple")
	require.NoError(t, err)
	require.NoError(t, s.inTransaction(t.Context(), func(tx *changes) error {
		return tx.setPassword(t.Context(), by.UserID, hash)
	}))
	_, err = s.signIn(t.Context(), checked, Client{})
	require.ErrorIs(t, err, errWrongLogin)
	_, err = s.replacePassword(t.Context(), checked, hash, Client{})
	require.ErrorIs(t, err, errWrongPassword)

	checked, err = s.checkLogin(t.Context(), checked.Email, "battery staple")
	require.NoError(t, err)
	disabled := true
	require.NoError(t, s.ChangeUser(t.Context(), by.UserID, UserChange{Disabled: &disabled}))
	_, err = s.signIn(t.Context(), checked, Client{})
	require.ErrorIs(t, err, errWrongLogin)
}

// enrol makes a second factor for a user, confirmed or not; code confirms it.
func (s *Service) enrol(t *testing.T, by auth.Principal, confirmed bool) (code string, recovery []string) {
	t.Helper()
	enrolment, err := s.EnrolTOTP(t.Context(), by)
	require.NoError(t, err)
	code = totpCode(t, enrolment, time.Now().Unix()/30)
	if confirmed {
		recovery, err = s.ConfirmTOTP(t.Context(), by, code, Client{})
		require.NoError(t, err)
	}
	return code, recovery
}

// What is a user's own, a second factor above all, must not come from a session that a
// password reset has ended.
func TestRevocation_HoldsForSecondFactorsOfRequestsThatWereInProgress(t *testing.T) {
	t.Parallel()
	keyring, err := seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize))
	require.NoError(t, err)
	s := newServiceWith(t, keyring)
	none, begun, has := s.admin(t), s.admin(t), s.admin(t)
	code, _ := s.enrol(t, begun, false)
	_, recovery := s.enrol(t, has, true)
	team, err := s.CreateTeam(t.Context(), has.UserID, "another")
	require.NoError(t, err)
	token := auth.NewSecret()
	_, err = s.store.createInvitation(t.Context(), newInvitation{
		Invitation: Invitation{TeamID: team.ID, Email: none.Email, Role: auth.Member, ExpiresAt: time.Now().Add(time.Hour)},
		tokenHash:  auth.HashKey(token),
	})
	require.NoError(t, err)
	for _, by := range []auth.Principal{none, begun, has} {
		reset, err := s.store.newOneTimeToken(t.Context(), forPasswordReset, &by.UserID, passwordResetLife)
		require.NoError(t, err)
		require.NoError(t, s.ResetPassword(t.Context(), reset, "battery staple"))
	}

	_, err = s.EnrolTOTP(t.Context(), none)
	require.ErrorIs(t, err, auth.ErrRevoked, "enrol")
	_, err = s.AcceptInvitation(t.Context(), none, token)
	require.ErrorIs(t, err, auth.ErrRevoked, "accept an invitation")
	_, err = s.ConfirmTOTP(t.Context(), begun, code, Client{})
	require.ErrorIs(t, err, auth.ErrRevoked, "confirm")
	_, err = s.NewRecoveryCodes(t.Context(), has, recovery[0], Client{})
	require.ErrorIs(t, err, auth.ErrRevoked, "replace recovery codes")
	err = s.RemoveTOTP(t.Context(), has, recovery[1], Client{})
	require.ErrorIs(t, err, auth.ErrRevoked, "remove")
}
