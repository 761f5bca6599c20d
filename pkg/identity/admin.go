package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// UserChange is what a platform admin changes of a user; nil leaves it as it is.
type UserChange struct {
	// Disabled shuts somebody out: every credential that they have or have made is
	// worthless with the next request, and stays so when they are let in again.
	Disabled      *bool
	PlatformAdmin *bool
}

// Users returns the users of the installation by mail address, and where to go on
// behind them: "" at the end.
func (s *Service) Users(ctx context.Context, after string, pageSize int) (users []rows.ListUsersRow, next string, err error) {
	users, err = s.queries.ListUsers(ctx, rows.ListUsersParams{After: after, PageSize: int32(pageSize) + 1})
	if err != nil {
		return nil, "", fmt.Errorf("list users: %w", err)
	}
	if len(users) > pageSize {
		users = users[:pageSize]
		next = users[pageSize-1].Email
	}
	return users, next, nil
}

// ChangeUser shuts a user out or lets them in again, and makes them an admin of
// the installation or not. One admin must stay.
func (s *Service) ChangeUser(ctx context.Context, userID uuid.UUID, change UserChange) error {
	return s.inTransaction(ctx, func(queries *rows.Queries) error {
		if err := queries.LockFirstAdmin(ctx); err != nil {
			return fmt.Errorf("wait for others: %w", err)
		}
		user, err := lockUser(ctx, queries, userID)
		if err != nil {
			return err
		}
		if err := applyChange(ctx, queries, userID, change); err != nil {
			return fmt.Errorf("change user: %w", err)
		}
		admins, err := queries.CountPlatformAdmins(ctx)
		if err != nil {
			return fmt.Errorf("count admins: %w", err)
		}
		if admins == 0 && user.PlatformAdmin {
			return fault.New(fault.Conflict, "the installation must keep an admin")
		}
		return nil
	})
}

func applyChange(ctx context.Context, queries *rows.Queries, userID uuid.UUID, change UserChange) error {
	if change.PlatformAdmin != nil {
		if err := queries.SetPlatformAdmin(ctx, rows.SetPlatformAdminParams{ID: userID, PlatformAdmin: *change.PlatformAdmin}); err != nil {
			return err
		}
	}
	if change.Disabled == nil {
		return nil
	}
	if err := queries.SetUserDisabled(ctx, rows.SetUserDisabledParams{ID: userID, Disabled: *change.Disabled}); err != nil {
		return err
	}
	if !*change.Disabled {
		return nil
	}
	return revokeAll(ctx, queries, userID)
}
