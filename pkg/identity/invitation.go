package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

const invitationLife = 7 * 24 * time.Hour

// Invitation lets the owner of an e-mail address join a team.
type Invitation struct {
	ID        uuid.UUID
	TeamID    uuid.UUID
	Email     string
	Role      auth.Role
	CreatedAt time.Time
	ExpiresAt time.Time
}

// InvitationOffer is what the link of an invitation shows before it is accepted.
type InvitationOffer struct {
	TeamName   string
	Email      string
	Role       auth.Role
	HasAccount bool
}

// Invite mails a link into a team. The role must not be above the principal's.
func (s *Service) Invite(ctx context.Context, by auth.Principal, email string, role auth.Role) (Invitation, error) {
	email, err := validate.Email("email", email)
	if err != nil {
		return Invitation{}, err
	}
	if !auth.IsRole(string(role)) {
		return Invitation{}, ErrNoRole
	}
	if err := s.invites.Take(by.TeamID.String()); err != nil {
		return Invitation{}, err
	}
	team, err := s.store.team(ctx, by.TeamID)
	if err != nil {
		return Invitation{}, err
	}
	token := auth.NewSecret()
	invitation, err := s.storeInvitation(ctx, by, newInvitation{
		Invitation: Invitation{TeamID: by.TeamID, Email: email, Role: role, ExpiresAt: time.Now().Add(invitationLife)},
		tokenHash:  auth.HashKey(token), invitedBy: by.UserID,
	})
	if err != nil {
		return Invitation{}, err
	}
	s.post(email, "You are invited to a team on Wrenn", "You are invited to the team "+team.Name+" on Wrenn, at "+s.config.PublicURL+", as "+string(role)+".\n\n"+
		"This link takes you there, once, within a week:\n\n"+s.link("invitation", token)+"\n")
	return invitation, nil
}

func (s *Service) storeInvitation(ctx context.Context, by auth.Principal, wanted newInvitation) (stored Invitation, err error) {
	err = s.inTransaction(ctx, func(tx *changes) error {
		by, err := auth.CurrentInTeam(ctx, tx.conn, by, by.TeamID, auth.MemberWrite)
		if err != nil {
			return err
		}
		if !by.Role.AtLeast(wanted.Role) {
			return errAboveYou
		}
		stored, err = tx.createInvitation(ctx, wanted)
		return err
	})
	return stored, err
}

// Invitations returns a team's invitations that were not accepted, newest first.
func (s *Service) Invitations(ctx context.Context, teamID uuid.UUID) ([]Invitation, error) {
	return s.store.invitations(ctx, teamID)
}

// RevokeInvitation makes an invitation's link invalid.
func (s *Service) RevokeInvitation(ctx context.Context, teamID, invitationID uuid.UUID) error {
	return db.OrElse(s.store.deleteInvitation(ctx, teamID, invitationID), ErrNoInvitation)
}

// AcceptInvitation makes the principal a member of the team of an invitation, which
// must be for the user's e-mail address, and returns the team's ID.
func (s *Service) AcceptInvitation(ctx context.Context, by auth.Principal, token string) (uuid.UUID, error) {
	var teamID uuid.UUID
	err := s.inTransaction(ctx, func(tx *changes) error {
		invitation, err := tx.useInvitation(ctx, auth.HashKey(token))
		if err != nil {
			return db.OrElse(err, errWrongLink)
		}
		user, err := tx.lockCurrent(ctx, by)
		if err != nil {
			return err
		}
		if user.Email != invitation.Email {
			return fault.New(fault.Forbidden, "the invitation is for another e-mail address than yours")
		}
		teamID = invitation.TeamID
		return tx.addMember(ctx, teamID, user.ID, invitation.Role)
	})
	return teamID, err
}

// RegisterInvited makes an account for the address of an invitation. The token proves
// that the person receives mail there.
func (s *Service) RegisterInvited(ctx context.Context, token string, wanted NewUser, from Client) (Session, error) {
	found, _, err := s.store.findInvitation(ctx, auth.HashKey(token))
	if err != nil {
		return Session{}, db.OrElse(err, errWrongLink)
	}
	wanted.Email = found.Email
	checked, err := s.checkNewUser(ctx, wanted)
	if err != nil {
		return Session{}, err
	}
	var session Session
	err = s.inTransaction(ctx, func(tx *changes) error {
		invitation, err := tx.useInvitation(ctx, auth.HashKey(token))
		if err != nil {
			return db.OrElse(err, errWrongLink)
		}
		user, err := tx.createUser(ctx, checked)
		if err != nil {
			return err
		}
		if err := tx.addMember(ctx, invitation.TeamID, user.ID, invitation.Role); err != nil {
			return err
		}
		session, err = tx.newSession(ctx, user.User, from)
		return err
	})
	return session, err
}

// ShowInvitation returns what a link offers.
func (s *Service) ShowInvitation(ctx context.Context, token string) (InvitationOffer, error) {
	found, teamName, err := s.store.findInvitation(ctx, auth.HashKey(token))
	if err != nil {
		return InvitationOffer{}, db.OrElse(err, errWrongLink)
	}
	_, err = s.store.userByEmail(ctx, found.Email)
	if err != nil && !errors.Is(err, db.ErrNoRow) {
		return InvitationOffer{}, err
	}
	return InvitationOffer{TeamName: teamName, Email: found.Email, Role: found.Role, HasAccount: err == nil}, nil
}
