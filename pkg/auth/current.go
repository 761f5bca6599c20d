package auth

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// The faults of CurrentUser and CurrentInTeam.
var (
	ErrRevoked = fault.New(fault.Unauthenticated, "the credential is not valid any more")
	ErrNoUser  = fault.New(fault.NotFound, "there is no such user")
	ErrNoTeam  = fault.New(fault.NotFound, "there is no such team")
)

// CurrentUser locks the user of a principal, for a change of what belongs to the user,
// and returns the principal with its present role.
//
// It returns ErrRevoked where the credential was revoked since the request was
// authenticated: what the request makes would outlive the revocation. Revocations take
// the same lock.
func CurrentUser(ctx context.Context, tx db.Conn, by Principal) (Principal, error) {
	if err := newStore(tx).lockUser(ctx, by.UserID); err != nil {
		return Principal{}, db.OrElse(err, ErrNoUser)
	}
	return newStore(tx).current(ctx, by)
}

// CurrentInTeam is CurrentUser for a change that needs a permission in a team, which is
// locked. On routes of the installation's admins they work on no team and need no
// permission.
func CurrentInTeam(ctx context.Context, tx db.Conn, by Principal, teamID uuid.UUID, permission Permission) (Principal, error) {
	if err := newStore(tx).lockTeam(ctx, teamID); err != nil {
		return Principal{}, db.OrElse(err, ErrNoTeam)
	}
	by, err := newStore(tx).current(ctx, by)
	byAdmin := by.PlatformAdmin && by.TeamID == uuid.Nil
	if err == nil && !byAdmin && !by.May(permission) {
		err = fault.New(fault.Forbidden, "the permission %s is needed", permission)
	}
	return by, err
}

func (s store) current(ctx context.Context, by Principal) (Principal, error) {
	if by.UserID == uuid.Nil {
		return by, nil // the admin token; a restart revokes it
	}
	admin, err := s.credentialUser(ctx, by)
	if err != nil {
		return Principal{}, db.OrElse(err, ErrRevoked)
	}
	by.PlatformAdmin = admin
	if by.TeamID == uuid.Nil {
		return by, nil
	}
	_, role, err := s.membership(ctx, by.UserID, &by.TeamID)
	switch {
	case err == nil:
		by.Role = role
	case !errors.Is(err, db.ErrNoRow):
		return Principal{}, err
	case !by.PlatformAdmin:
		return Principal{}, errNotYours
	}
	return by, nil
}

// RevokeTeamTokens revokes the tokens of a team's sandboxes and volumes. Clients ask for
// the new ones.
func RevokeTeamTokens(ctx context.Context, conn db.Conn, teamID uuid.UUID) error {
	return db.OrElse(newStore(conn).raiseEpoch(ctx, teamID), ErrNoTeam)
}
