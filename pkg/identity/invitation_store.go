package identity

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// newInvitation is an invitation to be stored.
type newInvitation struct {
	Invitation
	tokenHash []byte
	invitedBy uuid.UUID // zero for an admin of the installation
}

// createInvitation replaces an invitation of the same address.
func (s *store) createInvitation(ctx context.Context, wanted newInvitation) (Invitation, error) {
	row, err := s.queries.CreateInvitation(ctx, rows.CreateInvitationParams{
		ID: uuid.New(), TeamID: wanted.TeamID, Email: wanted.Email, Role: string(wanted.Role), TokenHash: wanted.tokenHash,
		InvitedBy: optional(wanted.invitedBy), ExpiresAt: wanted.ExpiresAt,
	})
	return invitationOf(row), db.Wrap(err, "store invitation")
}

func invitationOf(row rows.TeamInvitation) Invitation {
	return Invitation{
		ID: row.ID, TeamID: row.TeamID, Email: row.Email, Role: auth.Role(row.Role),
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC(),
	}
}

func (s *store) invitations(ctx context.Context, teamID uuid.UUID) ([]Invitation, error) {
	found, err := s.queries.ListInvitations(ctx, teamID)
	return invitationsOf(found), db.Wrap(err, "list invitations")
}

func invitationsOf(found []rows.TeamInvitation) []Invitation {
	invitations := make([]Invitation, 0, len(found))
	for _, row := range found {
		invitations = append(invitations, invitationOf(row))
	}
	return invitations
}

// findInvitation returns the invitation of a token, and its team's name.
func (s *store) findInvitation(ctx context.Context, tokenHash []byte) (Invitation, string, error) {
	row, err := s.queries.FindInvitation(ctx, tokenHash)
	found := Invitation{ID: row.ID, TeamID: row.TeamID, Email: row.Email, Role: auth.Role(row.Role)}
	return found, row.TeamName, db.Wrap(err, "find invitation")
}

// useInvitation deletes the invitation of a token: of two uses one gets it.
func (s *store) useInvitation(ctx context.Context, tokenHash []byte) (Invitation, error) {
	row, err := s.queries.UseInvitation(ctx, tokenHash)
	return invitationOf(row), db.Wrap(err, "use invitation")
}

// useInvitationsOf deletes the invitations of an e-mail address.
func (s *store) useInvitationsOf(ctx context.Context, email string) ([]Invitation, error) {
	found, err := s.queries.UseInvitationsOf(ctx, email)
	return invitationsOf(found), db.Wrap(err, "use invitations")
}

// deleteInvitationsBy deletes those that a user sent for a team, or for all teams where
// teamID is nil.
func (s *store) deleteInvitationsBy(ctx context.Context, userID uuid.UUID, teamID *uuid.UUID) error {
	err := s.queries.DeleteInvitationsBy(ctx, rows.DeleteInvitationsByParams{UserID: &userID, TeamID: teamID})
	return db.Wrap(err, "delete invitations")
}

func (s *store) deleteInvitation(ctx context.Context, teamID, invitationID uuid.UUID) error {
	count, err := s.queries.DeleteInvitation(ctx, rows.DeleteInvitationParams{ID: invitationID, TeamID: teamID})
	return db.WrapCount(count, err, "delete invitation")
}
