package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// User is a person with an account.
type User struct {
	ID            uuid.UUID
	Email         string
	Name          string
	PlatformAdmin bool // an admin of the installation
	// HasPassword is false for a user who signs in with a provider only.
	HasPassword     bool
	HasSecondFactor bool
	CreatedAt       time.Time
	// DisabledAt is nil for a user who is not disabled.
	DisabledAt *time.Time
}

// UserChange is a change of a user; what is nil stays.
type UserChange struct {
	Email *string
	Name  *string
	// Disabled revokes every credential that the user has or has made. They stay
	// revoked when the user is enabled again.
	Disabled      *bool
	PlatformAdmin *bool
}

// UserFilter selects users. Zero fields select all.
type UserFilter struct {
	Email string // the whole address
	// Provider and Subject select by an identity that is tied to the user; Provider
	// alone selects all that have one there.
	Provider string
	Subject  string
	// TeamID selects the members of a team.
	TeamID uuid.UUID
	// Disabled selects those who are disabled, or those who are not.
	Disabled *bool
}

// User returns a user.
func (s *Service) User(ctx context.Context, userID uuid.UUID) (User, error) {
	found, err := s.store.user(ctx, userID)
	return found.User, db.OrElse(err, ErrNoUser)
}

// RenameUser changes a user's name.
func (s *Service) RenameUser(ctx context.Context, userID uuid.UUID, name string) error {
	name, err := validate.Name(name)
	if err != nil {
		return err
	}
	return s.store.setUserName(ctx, userID, name)
}

// Users returns a page of the users by e-mail address, from behind one address on, and
// the address to go on from; "" at the end.
func (s *Service) Users(ctx context.Context, after string, pageSize int) (users []User, next string, err error) {
	users, err = s.store.searchUsers(ctx, UserFilter{}, after, 0, pageSize+1)
	if err != nil {
		return nil, "", err
	}
	if len(users) > pageSize {
		users = users[:pageSize]
		next = users[pageSize-1].Email
	}
	return users, next, nil
}

// ChangeUser changes a user. It returns ErrNoUser, ErrUserExists where another user has
// the address, and ErrLastAdmin.
func (s *Service) ChangeUser(ctx context.Context, userID uuid.UUID, change UserChange) error {
	change, err := change.checked()
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, func(tx *changes) error {
		if err := tx.lockAdmins(ctx); err != nil {
			return err
		}
		before, err := tx.lockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err := tx.changeUser(ctx, userID, change); err != nil {
			return err
		}
		admins, err := tx.countAdmins(ctx)
		if err == nil && admins == 0 && before.PlatformAdmin {
			return ErrLastAdmin
		}
		return err
	})
}

func (c UserChange) checked() (UserChange, error) {
	if c.Email != nil {
		email, err := validate.Email("email", *c.Email)
		if err != nil {
			return c, err
		}
		c.Email = &email
	}
	if c.Name != nil {
		name, err := validate.Name(*c.Name)
		if err != nil {
			return c, err
		}
		c.Name = &name
	}
	return c, nil
}

func (c *changes) changeUser(ctx context.Context, userID uuid.UUID, change UserChange) error {
	if change.Email != nil {
		if err := c.setUserEmail(ctx, userID, *change.Email); err != nil {
			return err
		}
	}
	if change.Name != nil {
		if err := c.setUserName(ctx, userID, *change.Name); err != nil {
			return err
		}
	}
	if change.PlatformAdmin != nil {
		if err := c.setPlatformAdmin(ctx, userID, *change.PlatformAdmin); err != nil {
			return err
		}
	}
	if change.Disabled == nil {
		return nil
	}
	if err := c.setDisabled(ctx, userID, *change.Disabled); err != nil || !*change.Disabled {
		return err
	}
	return c.revokeAll(ctx, userID)
}

// lockCurrent locks the user of a principal. It refuses a principal whose credential was
// revoked since the request was authenticated.
func (s *store) lockCurrent(ctx context.Context, by auth.Principal) (account, error) {
	if _, err := auth.CurrentUser(ctx, s.conn, by); err != nil {
		return account{}, err
	}
	return s.lockUser(ctx, by.UserID)
}
