package identity

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

// revokeAll revokes what a user has and has made: sessions, access tokens, API keys,
// invitations, and the tokens of sandboxes and volumes that the user or one of the keys
// may have read.
func (c *changes) revokeAll(ctx context.Context, userID uuid.UUID) error {
	if err := c.revokeOwn(ctx, userID); err != nil {
		return err
	}
	return c.revokeMade(ctx, userID, nil)
}

// revokeOwn revokes a user's sessions and access tokens, and the tokens of sandboxes and
// volumes that the user may have read. Keys and invitations that the user made stay.
func (s *store) revokeOwn(ctx context.Context, userID uuid.UUID) error {
	if err := s.raiseEpochsOf(ctx, userID); err != nil {
		return err
	}
	if err := s.endSessionsOf(ctx, userID); err != nil {
		return err
	}
	return keys.DeleteTokensOf(ctx, s.conn, userID)
}

// revokeInTeam revokes what a user made for a team, and the tokens of the team's
// sandboxes and volumes.
func (c *changes) revokeInTeam(ctx context.Context, userID, teamID uuid.UUID) error {
	if err := auth.RevokeTeamTokens(ctx, c.conn, teamID); err != nil {
		return err
	}
	return c.revokeMade(ctx, userID, &teamID)
}

// revokeMade revokes the API keys and invitations that a user made for a team, or for
// all teams where teamID is nil.
func (c *changes) revokeMade(ctx context.Context, userID uuid.UUID, teamID *uuid.UUID) error {
	revoked, err := keys.RevokeOf(ctx, c.conn, userID, teamID)
	if err != nil {
		return err
	}
	c.record(revoked...)
	return c.deleteInvitationsBy(ctx, userID, teamID)
}

// revokeBeyond revokes what a member made or read and may no longer make or read with
// another role: keys with more scopes, invitations, and the tokens of sandboxes and
// volumes.
func (c *changes) revokeBeyond(ctx context.Context, userID, teamID uuid.UUID, before, now auth.Role) error {
	revoked, err := keys.RevokeBeyond(ctx, c.conn, userID, teamID, now)
	if err != nil {
		return err
	}
	c.record(revoked...)
	if lost(before, now, auth.MemberWrite) {
		if err := c.deleteInvitationsBy(ctx, userID, &teamID); err != nil {
			return err
		}
	}
	if lost(before, now, auth.SandboxWrite) || lost(before, now, auth.VolumeWrite) {
		return auth.RevokeTeamTokens(ctx, c.conn, teamID)
	}
	return nil
}

func lost(before, now auth.Role, permission auth.Permission) bool {
	return before.Has(permission) && !now.Has(permission)
}
