package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Member is a user in a team.
type Member struct {
	UserID          uuid.UUID
	Email           string
	Name            string
	Role            auth.Role
	HasSecondFactor bool
	JoinedAt        time.Time
}

// Members returns the members of a team in the order in which they joined.
func (s *Service) Members(ctx context.Context, teamID uuid.UUID) ([]Member, error) {
	return s.store.members(ctx, teamID)
}

// SetRole changes a member's role. A principal may neither give nor take a role above
// its own. What the member made with a higher role, and may not make with the new one,
// is revoked.
func (s *Service) SetRole(ctx context.Context, by auth.Principal, memberID uuid.UUID, role auth.Role) error {
	if !auth.IsRole(string(role)) {
		return ErrNoRole
	}
	return s.changeMember(ctx, by, memberID, func(tx *changes, by auth.Principal, before auth.Role) error {
		if !by.May(auth.MemberWrite) {
			return errMayNotChange
		}
		if !by.Role.AtLeast(role) {
			return errAboveYou
		}
		return tx.changeRole(ctx, by.TeamID, memberID, before, role)
	})
}

func (c *changes) changeRole(ctx context.Context, teamID, memberID uuid.UUID, before, role auth.Role) error {
	if err := c.setRole(ctx, teamID, memberID, role); err != nil {
		return db.OrElse(err, ErrNoMember)
	}
	return c.revokeBeyond(ctx, memberID, teamID, before, role)
}

// RemoveMember takes a member out of a team and revokes what the member made for it.
// Members may remove themselves.
func (s *Service) RemoveMember(ctx context.Context, by auth.Principal, memberID uuid.UUID) error {
	return s.changeMember(ctx, by, memberID, func(tx *changes, by auth.Principal, _ auth.Role) error {
		if memberID != by.UserID && !by.May(auth.MemberWrite) {
			return errMayNotChange
		}
		return tx.takeOut(ctx, by.TeamID, memberID)
	})
}

func (c *changes) takeOut(ctx context.Context, teamID, memberID uuid.UUID) error {
	if err := c.removeMember(ctx, teamID, memberID); err != nil {
		return db.OrElse(err, ErrNoMember)
	}
	return c.revokeInTeam(ctx, memberID, teamID)
}

// changeMember calls change with the principal, whose role it reads again under the
// team's lock, and with the member's role.
func (s *Service) changeMember(ctx context.Context, by auth.Principal, memberID uuid.UUID, change func(*changes, auth.Principal, auth.Role) error) error {
	return s.inTransaction(ctx, func(tx *changes) error {
		by, err := auth.CurrentInTeam(ctx, tx.conn, by, by.TeamID, auth.MemberRead)
		if err != nil {
			return err
		}
		role, err := tx.roleOf(ctx, by.TeamID, memberID)
		if err != nil {
			return db.OrElse(err, ErrNoMember)
		}
		if !by.Role.AtLeast(role) {
			return errAboveYou
		}
		if err := change(tx, by, role); err != nil {
			return err
		}
		return tx.requireOwner(ctx, by.TeamID)
	})
}

// requireOwner returns ErrLastOwner where a team has no owner.
func (s *store) requireOwner(ctx context.Context, teamID uuid.UUID) error {
	owners, err := s.countOwners(ctx, teamID)
	if err == nil && owners == 0 {
		return ErrLastOwner
	}
	return err
}
