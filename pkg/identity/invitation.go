package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const invitationLife = 7 * 24 * time.Hour

// Invite mails somebody a link into a team. Nobody invites to a role above their
// own.
func (s *Service) Invite(ctx context.Context, by auth.Principal, email, role string) (rows.TeamInvitation, error) {
	email, err := Email("email", email)
	if err != nil {
		return rows.TeamInvitation{}, err
	}
	if !auth.IsRole(role) {
		return rows.TeamInvitation{}, errNoRole
	}
	if err := s.byTeam.Take(by.TeamID.String()); err != nil {
		return rows.TeamInvitation{}, err
	}
	team, err := s.queries.GetTeam(ctx, by.TeamID)
	if err != nil {
		return rows.TeamInvitation{}, fmt.Errorf("find team: %w", err)
	}
	token := auth.NewSecret()
	invitation, err := s.storeInvitation(ctx, by, rows.CreateInvitationParams{
		ID: uuid.New(), TeamID: by.TeamID, Email: email, Role: role, TokenHash: auth.HashKey(token),
		InvitedBy: optional(by.UserID), ExpiresAt: time.Now().Add(invitationLife),
	})
	if err != nil {
		return rows.TeamInvitation{}, err
	}
	s.post(email, "You are invited to a team on Wrenn",
		"You are invited to the team "+team.Name+" on Wrenn, at "+s.PublicURL+", as "+role+".\n\n"+
			"This link takes you there, once, within a week:\n\n"+s.link("invitation", token)+"\n")
	return invitation, nil
}

func (s *Service) storeInvitation(ctx context.Context, by auth.Principal, wanted rows.CreateInvitationParams) (stored rows.TeamInvitation, err error) {
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		by, err := currentWith(ctx, queries, by, by.TeamID, auth.MemberWrite)
		if err != nil {
			return err
		}
		if !by.Role.AtLeast(auth.Role(wanted.Role)) {
			return errAboveYou
		}
		if stored, err = queries.CreateInvitation(ctx, wanted); err != nil {
			return fmt.Errorf("store invitation: %w", err)
		}
		return nil
	})
	return stored, err
}

// Invitations returns a team's open invitations.
func (s *Service) Invitations(ctx context.Context, teamID uuid.UUID) ([]rows.ListInvitationsRow, error) {
	invitations, err := s.queries.ListInvitations(ctx, teamID)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	return invitations, nil
}

// RevokeInvitation makes an invitation's link worthless.
func (s *Service) RevokeInvitation(ctx context.Context, teamID, invitationID uuid.UUID) error {
	deleted, err := s.queries.DeleteInvitation(ctx, rows.DeleteInvitationParams{ID: invitationID, TeamID: teamID})
	if err != nil {
		return fmt.Errorf("delete invitation: %w", err)
	}
	if deleted == 0 {
		return fault.New(fault.NotFound, "there is no such invitation")
	}
	return nil
}

// AcceptInvitation makes a user a member. The invitation must be for their mail
// address.
func (s *Service) AcceptInvitation(ctx context.Context, by auth.Principal, token string) (uuid.UUID, error) {
	var teamID uuid.UUID
	err := s.inTransaction(ctx, func(queries *rows.Queries) error {
		invitation, err := queries.UseInvitation(ctx, auth.HashKey(token))
		if err != nil {
			return orWrongLink(err, "use invitation")
		}
		user, err := lockCurrent(ctx, queries, by)
		if err != nil {
			return err
		}
		if user.Email != invitation.Email {
			return fault.New(fault.Forbidden, "the invitation is for another e-mail address than yours")
		}
		teamID = invitation.TeamID
		return join(ctx, queries, user.ID, invitation)
	})
	return teamID, err
}

// RegisterInvited makes an account for somebody who was invited: that they have
// the link shows that the mail address is theirs.
func (s *Service) RegisterInvited(ctx context.Context, token string, wanted NewUser, from Client) (Session, error) {
	found, err := s.queries.FindInvitation(ctx, auth.HashKey(token))
	if err != nil {
		return Session{}, orWrongLink(err, "find invitation")
	}
	wanted.Email = found.Email
	params, err := s.newUser(ctx, wanted)
	if err != nil {
		return Session{}, err
	}
	var session Session
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		invitation, err := queries.UseInvitation(ctx, auth.HashKey(token))
		if err != nil {
			return orWrongLink(err, "use invitation")
		}
		user, err := createUser(ctx, queries, params)
		if err != nil {
			return err
		}
		if err := join(ctx, queries, user.ID, invitation); err != nil {
			return err
		}
		session, err = s.newSession(ctx, queries, user, from)
		return err
	})
	return session, err
}

// Invitation is what somebody with a link may know before they accept.
type Invitation struct {
	TeamName   string
	Email      string
	Role       string
	HasAccount bool
}

// ShowInvitation says what a link is for.
func (s *Service) ShowInvitation(ctx context.Context, token string) (Invitation, error) {
	found, err := s.queries.FindInvitation(ctx, auth.HashKey(token))
	if err != nil {
		return Invitation{}, orWrongLink(err, "find invitation")
	}
	_, err = s.queries.FindUserByEmail(ctx, found.Email)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Invitation{}, fmt.Errorf("find user: %w", err)
	}
	return Invitation{TeamName: found.TeamName, Email: found.Email, Role: found.Role, HasAccount: err == nil}, nil
}

func join(ctx context.Context, queries *rows.Queries, userID uuid.UUID, invitation rows.TeamInvitation) error {
	_, err := queries.AddMember(ctx, rows.AddMemberParams{TeamID: invitation.TeamID, UserID: userID, Role: invitation.Role})
	if err != nil {
		return fmt.Errorf("add member: %w", err)
	}
	return nil
}

// optional is nil for nobody.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
