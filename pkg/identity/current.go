package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// current is a principal with the role that it has now, or a refusal where its
// credential was revoked since its request was let in: what it makes now would
// outlive the revocation. The row that revocations lock must be locked: the team's,
// or for what belongs to no team the user's.
func current(ctx context.Context, queries *rows.Queries, by auth.Principal) (auth.Principal, error) {
	if by.UserID == uuid.Nil {
		return by, nil // the installation's own admin, whose token is revoked by a restart
	}
	user, err := queries.FindCredentialUser(ctx, rows.FindCredentialUserParams{UserID: by.UserID, SessionID: by.SessionID, TokenID: by.TokenID})
	if errors.Is(err, pgx.ErrNoRows) {
		return auth.Principal{}, errRevoked
	}
	if err != nil {
		return auth.Principal{}, fmt.Errorf("find the user of a credential: %w", err)
	}
	by.PlatformAdmin = user.PlatformAdmin
	if by.TeamID == uuid.Nil {
		return by, nil
	}
	member, err := queries.FindMembership(ctx, rows.FindMembershipParams{UserID: by.UserID, TeamID: &by.TeamID})
	switch {
	case err == nil:
		by.Role = auth.Role(member.Role)
	case !errors.Is(err, pgx.ErrNoRows):
		return auth.Principal{}, fmt.Errorf("find membership: %w", err)
	case !by.PlatformAdmin:
		return auth.Principal{}, fault.New(fault.Forbidden, "you are not a member of this team")
	}
	return by, nil
}

var errRevoked = fault.New(fault.Unauthenticated, "the credential is not valid any more")

// lockCurrent locks the user of a principal for a change of what is the user's own. It
// is refused where current refuses.
func lockCurrent(ctx context.Context, queries *rows.Queries, by auth.Principal) (rows.User, error) {
	user, err := lockUser(ctx, queries, by.UserID)
	if err != nil {
		return rows.User{}, err
	}
	_, err = current(ctx, queries, by)
	return user, err
}

// currentWith is current for what takes a permission in a team, which it locks. On
// routes of the installation's admins they work on no team and may do all.
func currentWith(
	ctx context.Context, queries *rows.Queries, by auth.Principal, teamID uuid.UUID, permission auth.Permission,
) (auth.Principal, error) {
	if _, err := queries.LockTeam(ctx, teamID); err != nil {
		return auth.Principal{}, notFound(err, "team")
	}
	by, err := current(ctx, queries, by)
	byAdmin := by.PlatformAdmin && by.TeamID == uuid.Nil
	if err == nil && !byAdmin && !by.May(permission) {
		err = fault.New(fault.Forbidden, "the permission %s is needed", permission)
	}
	return by, err
}
