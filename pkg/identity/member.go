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

// Members returns who is in a team.
func (s *Service) Members(ctx context.Context, teamID uuid.UUID) ([]rows.ListMembersRow, error) {
	members, err := s.queries.ListMembers(ctx, teamID)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return members, nil
}

// SetRole changes a member's role. Nobody gives or takes a role above their own,
// and a team keeps an owner. What the member has made with a higher role, and could
// not make with the new one, is revoked.
func (s *Service) SetRole(ctx context.Context, by auth.Principal, memberID uuid.UUID, role string) error {
	if !auth.IsRole(role) {
		return errNoRole
	}
	return s.changeMember(ctx, by, memberID, func(queries *rows.Queries, by auth.Principal, before auth.Role) error {
		if !by.May(auth.MemberWrite) {
			return errMayNotChange
		}
		if !by.Role.AtLeast(auth.Role(role)) {
			return errAboveYou
		}
		if _, err := queries.SetMemberRole(ctx, rows.SetMemberRoleParams{TeamID: by.TeamID, UserID: memberID, Role: role}); err != nil {
			return fmt.Errorf("set role: %w", err)
		}
		return revokeBeyond(ctx, queries, memberID, by.TeamID, before, auth.Role(role))
	})
}

// RemoveMember takes somebody out of a team, and with them the keys that they made
// for it. Everybody may take themselves out.
func (s *Service) RemoveMember(ctx context.Context, by auth.Principal, memberID uuid.UUID) error {
	return s.changeMember(ctx, by, memberID, func(queries *rows.Queries, by auth.Principal, _ auth.Role) error {
		if memberID != by.UserID && !by.May(auth.MemberWrite) {
			return errMayNotChange
		}
		if _, err := queries.RemoveMember(ctx, rows.RemoveMemberParams{TeamID: by.TeamID, UserID: memberID}); err != nil {
			return fmt.Errorf("remove member: %w", err)
		}
		return revokeInTeam(ctx, queries, memberID, by.TeamID)
	})
}

var (
	errNoRole       = fault.New(fault.Invalid, "role must be owner, admin, member or viewer")
	errAboveYou     = fault.New(fault.Forbidden, "only an owner may do this")
	errMayNotChange = fault.New(fault.Forbidden, "the permission %s is needed", auth.MemberWrite)
)

// changeMember calls change with the principal, whose role is read again under the
// team's lock, and with the role that the member has.
func (s *Service) changeMember(ctx context.Context, by auth.Principal, memberID uuid.UUID, change func(*rows.Queries, auth.Principal, auth.Role) error) error {
	return s.inTransaction(ctx, func(queries *rows.Queries) error {
		by, err := currentWith(ctx, queries, by, by.TeamID, auth.MemberRead)
		if err != nil {
			return err
		}
		member, err := queries.FindMembership(ctx, rows.FindMembershipParams{UserID: memberID, TeamID: &by.TeamID})
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "there is no such member")
		}
		if err != nil {
			return fmt.Errorf("find member: %w", err)
		}
		if !by.Role.AtLeast(auth.Role(member.Role)) {
			return errAboveYou
		}
		if err := change(queries, by, auth.Role(member.Role)); err != nil {
			return err
		}
		owners, err := queries.CountOwners(ctx, by.TeamID)
		if err != nil {
			return fmt.Errorf("count owners: %w", err)
		}
		if owners == 0 {
			return fault.New(fault.Conflict, "a team must keep an owner")
		}
		return nil
	})
}
