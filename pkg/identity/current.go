package identity

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// current returns a principal with its present role. It refuses one whose credential
// was revoked since its request was authenticated: what that request makes would outlive
// the revocation. The caller holds the lock that revocations take: that of the team, or
// of the user for what belongs to no team.
func (s *store) current(ctx context.Context, by auth.Principal) (auth.Principal, error) {
	if by.UserID == uuid.Nil {
		return by, nil // the admin token; a restart revokes it
	}
	user, err := s.credentialUser(ctx, by)
	if err != nil {
		return auth.Principal{}, orElse(err, errRevoked)
	}
	by.PlatformAdmin = user.PlatformAdmin
	if by.TeamID == uuid.Nil {
		return by, nil
	}
	role, err := s.roleOf(ctx, by.TeamID, by.UserID)
	switch {
	case err == nil:
		by.Role = role
	case !errors.Is(err, errNoRow):
		return auth.Principal{}, err
	case !by.PlatformAdmin:
		return auth.Principal{}, errNotMember
	}
	return by, nil
}

// lockCurrent is current for a change of what belongs to the user, who is locked.
func (s *store) lockCurrent(ctx context.Context, by auth.Principal) (account, error) {
	user, err := s.lockUser(ctx, by.UserID)
	if err != nil {
		return account{}, err
	}
	_, err = s.current(ctx, by)
	return user, err
}

// currentWith is current for a change that needs a permission in a team, which is
// locked. On routes of the installation's admins they work on no team and need no
// permission.
func (s *store) currentWith(ctx context.Context, by auth.Principal, teamID uuid.UUID, permission auth.Permission) (auth.Principal, error) {
	if err := s.lockTeam(ctx, teamID); err != nil {
		return auth.Principal{}, err
	}
	by, err := s.current(ctx, by)
	byAdmin := by.PlatformAdmin && by.TeamID == uuid.Nil
	if err == nil && !byAdmin && !by.May(permission) {
		err = fault.New(fault.Forbidden, "the permission %s is needed", permission)
	}
	return by, err
}
