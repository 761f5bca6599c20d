package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// revokeAll makes worthless what a user has or has made: sessions, access tokens,
// API keys, invitations that wait to be accepted, and the tokens of sandboxes and
// volumes that the user or one of the keys may have read.
func revokeAll(ctx context.Context, queries *rows.Queries, userID uuid.UUID) error {
	if err := revokeOwn(ctx, queries, userID); err != nil {
		return err
	}
	return revokeMade(ctx, queries, userID, nil)
}

// revokeOwn makes worthless what a user acts with, and the tokens of sandboxes and
// volumes that the user may have read. What the user has made for teams goes on.
func revokeOwn(ctx context.Context, queries *rows.Queries, userID uuid.UUID) error {
	if err := queries.RaiseTokenEpochsOf(ctx, userID); err != nil {
		return fmt.Errorf("revoke the tokens of sandboxes: %w", err)
	}
	if err := queries.EndSessionsOf(ctx, userID); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if err := queries.DeleteAccessTokensOf(ctx, userID); err != nil {
		return fmt.Errorf("delete access tokens: %w", err)
	}
	return nil
}

// revokeInTeam makes worthless what a user has made for a team, and the tokens of
// its sandboxes and volumes.
func revokeInTeam(ctx context.Context, queries *rows.Queries, userID, teamID uuid.UUID) error {
	if err := raiseEpoch(ctx, queries, teamID); err != nil {
		return err
	}
	return revokeMade(ctx, queries, userID, &teamID)
}

// revokeBeyond makes worthless what a member has made for a team or has read in it
// and could not with another role: keys with more scopes, invitations, and the tokens
// of sandboxes and volumes.
func revokeBeyond(ctx context.Context, queries *rows.Queries, userID, teamID uuid.UUID, before, now auth.Role) error {
	scopes := []string{}
	for _, scope := range now.Scopes() {
		scopes = append(scopes, string(scope))
	}
	err := queries.RevokeAPIKeysBeyond(ctx, rows.RevokeAPIKeysBeyondParams{
		UserID: &userID, TeamID: teamID, Scopes: scopes, AllScopes: now.AtLeast(auth.Admin),
	})
	if err != nil {
		return fmt.Errorf("revoke API keys: %w", err)
	}
	if lost(before, now, auth.MemberWrite) {
		if err := queries.DeleteInvitationsBy(ctx, rows.DeleteInvitationsByParams{UserID: &userID, TeamID: &teamID}); err != nil {
			return fmt.Errorf("delete invitations: %w", err)
		}
	}
	if lost(before, now, auth.SandboxWrite) || lost(before, now, auth.VolumeWrite) {
		return raiseEpoch(ctx, queries, teamID)
	}
	return nil
}

func lost(before, now auth.Role, permission auth.Permission) bool {
	return before.Has(permission) && !now.Has(permission)
}

// revokeMade revokes the API keys and invitations that a user has made: those for one
// team, or for all teams where teamID is nil.
func revokeMade(ctx context.Context, queries *rows.Queries, userID uuid.UUID, teamID *uuid.UUID) error {
	if err := queries.RevokeAPIKeysOf(ctx, rows.RevokeAPIKeysOfParams{UserID: &userID, TeamID: teamID}); err != nil {
		return fmt.Errorf("revoke API keys: %w", err)
	}
	if err := queries.DeleteInvitationsBy(ctx, rows.DeleteInvitationsByParams{UserID: &userID, TeamID: teamID}); err != nil {
		return fmt.Errorf("delete invitations: %w", err)
	}
	return nil
}

// raiseEpoch revokes the tokens of a team's sandboxes and volumes.
func raiseEpoch(ctx context.Context, queries *rows.Queries, teamID uuid.UUID) error {
	raised, err := queries.RaiseTokenEpoch(ctx, teamID)
	return changedOne(raised, err, "team")
}

// RotateTeamTokens revokes the tokens of all sandboxes and volumes of a team.
// Clients ask for the new ones.
func (s *Service) RotateTeamTokens(ctx context.Context, teamID uuid.UUID) error {
	return raiseEpoch(ctx, s.queries, teamID)
}
