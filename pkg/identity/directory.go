package identity

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// Directory changes users and their teams on behalf of a company's directory: what a
// SCIM server needs. No permission is checked, so its routes must be guarded. Its errors
// are those of errors.go, and faults for input that is not valid.
type Directory struct{ service *Service }

// Directory returns the interface for provisioning.
func (s *Service) Directory() *Directory { return &Directory{s} }

// ExternalID identifies a person at a provider.
type ExternalID struct {
	Provider string
	Subject  string
}

// DirectoryUser is a user to be made by a directory. The user has no password.
type DirectoryUser struct {
	Email string
	Name  string
	// Identity ties the user to an identity at a provider, such as that of the
	// company's single sign-on; the zero value ties none.
	Identity ExternalID
}

// Page selects a part of a list.
type Page struct {
	Skip  int // how many come before
	Limit int
}

// CreateUser makes a user. It returns ErrUserExists or ErrIdentityTaken.
func (d *Directory) CreateUser(ctx context.Context, wanted DirectoryUser) (User, error) {
	email, err := validate.Email("email", wanted.Email)
	if err != nil {
		return User{}, err
	}
	name, err := validate.Name(wanted.Name)
	if err != nil {
		return User{}, err
	}
	var made account
	err = d.service.inTransaction(ctx, func(tx *changes) error {
		if made, err = tx.createUser(ctx, newAccount{email: email, name: name}); err != nil {
			return err
		}
		if wanted.Identity == (ExternalID{}) {
			return nil
		}
		return tx.addIdentity(ctx, made.ID, wanted.Identity.Provider, wanted.Identity.Subject)
	})
	return made.User, err
}

// User returns a user. It returns ErrNoUser where there is none.
func (d *Directory) User(ctx context.Context, userID uuid.UUID) (User, error) {
	return d.service.User(ctx, userID)
}

// Identities returns the identities that are tied to a user.
func (d *Directory) Identities(ctx context.Context, userID uuid.UUID) ([]ExternalID, error) {
	return d.service.store.identities(ctx, userID)
}

// Users returns a page of the users that a filter selects, by e-mail address, and how
// many it selects in all.
func (d *Directory) Users(ctx context.Context, filter UserFilter, page Page) (users []User, total int64, err error) {
	if total, err = d.service.store.countUsers(ctx, filter); err != nil {
		return nil, 0, err
	}
	users, err = d.service.store.searchUsers(ctx, filter, "", page.Skip, page.Limit)
	return users, total, err
}

// UpdateUser changes a user and returns the user as it is then. Disabled deactivates:
// it revokes every credential that the user has or has made. It returns ErrNoUser,
// ErrUserExists or ErrLastAdmin.
func (d *Directory) UpdateUser(ctx context.Context, userID uuid.UUID, change UserChange) (User, error) {
	if err := d.service.ChangeUser(ctx, userID, change); err != nil {
		return User{}, err
	}
	return d.service.User(ctx, userID)
}

// DeleteUser deletes a user with all identities and memberships, and revokes every
// credential that the user has or has made. A new user may have the address. It returns
// ErrNoUser, ErrLastAdmin, or ErrLastOwner where a team has no other owner.
func (d *Directory) DeleteUser(ctx context.Context, userID uuid.UUID) error {
	return d.service.inTransaction(ctx, func(tx *changes) error {
		if err := tx.lockAdmins(ctx); err != nil {
			return err
		}
		user, err := tx.lockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err := tx.takeOutOfAllTeams(ctx, userID); err != nil {
			return err
		}
		if err := tx.revokeAll(ctx, userID); err != nil {
			return err
		}
		if err := tx.deleteUser(ctx, userID); err != nil {
			return err
		}
		admins, err := tx.countAdmins(ctx)
		if err == nil && admins == 0 && user.PlatformAdmin {
			return ErrLastAdmin
		}
		return err
	})
}

// takeOutOfAllTeams returns ErrLastOwner where a team would lose its last owner.
func (c *changes) takeOutOfAllTeams(ctx context.Context, userID uuid.UUID) error {
	memberships, err := c.membershipsOf(ctx, userID)
	if err != nil {
		return err
	}
	slices.SortFunc(memberships, func(a, b Membership) int { return bytes.Compare(a.Team.ID[:], b.Team.ID[:]) }) // the order of locks
	for _, membership := range memberships {
		teamID := membership.Team.ID
		if err := c.lockTeam(ctx, teamID); err != nil {
			return err
		}
		if err := c.takeOut(ctx, teamID, userID); err != nil {
			return err
		}
		if err := c.requireOwner(ctx, teamID); err != nil {
			return err
		}
	}
	return nil
}

// CreateTeam makes a team that a user owns, with the limits of new teams. It returns
// ErrNoUser where there is no such user.
func (d *Directory) CreateTeam(ctx context.Context, name string, owner uuid.UUID) (Team, error) {
	name, err := validate.Name(name)
	if err != nil {
		return Team{}, err
	}
	var team Team
	err = d.service.inTransaction(ctx, func(tx *changes) error {
		if _, err := tx.lockUser(ctx, owner); err != nil {
			return err
		}
		team, err = tx.newTeam(ctx, name, owner, d.service.config.NewTeamLimits)
		return err
	})
	return team, err
}

// RenameTeam changes a team's name. It returns ErrNoTeam where there is no such team.
func (d *Directory) RenameTeam(ctx context.Context, teamID uuid.UUID, name string) (Team, error) {
	name, err := validate.Name(name)
	if err != nil {
		return Team{}, err
	}
	return d.service.store.renameTeam(ctx, teamID, name)
}

// Teams returns a page of the teams that a filter selects, by name, and how many it
// selects in all.
func (d *Directory) Teams(ctx context.Context, filter TeamFilter, page Page) (teams []Team, total int64, err error) {
	if total, err = d.service.store.countTeams(ctx, filter); err != nil {
		return nil, 0, err
	}
	teams, err = d.service.store.searchTeams(ctx, filter, page.Skip, page.Limit)
	return teams, total, err
}

// Team returns a team. It returns ErrNoTeam where there is none.
func (d *Directory) Team(ctx context.Context, teamID uuid.UUID) (Team, error) {
	return d.service.store.team(ctx, teamID)
}

// Members returns the members of a team.
func (d *Directory) Members(ctx context.Context, teamID uuid.UUID) ([]Member, error) {
	return d.service.Members(ctx, teamID)
}

// SetMember puts a user into a team with a role, or changes the role of a member. What
// a member made with a higher role is revoked. It returns ErrNoTeam, ErrNoUser,
// ErrNoRole or ErrLastOwner.
func (d *Directory) SetMember(ctx context.Context, teamID, userID uuid.UUID, role auth.Role) error {
	if !auth.IsRole(string(role)) {
		return ErrNoRole
	}
	return d.service.inTransaction(ctx, func(tx *changes) error {
		// The user first, as a change of the user locks its teams.
		if _, err := tx.lockUser(ctx, userID); err != nil {
			return err
		}
		if err := tx.lockTeam(ctx, teamID); err != nil {
			return err
		}
		before, err := tx.roleOf(ctx, teamID, userID)
		switch {
		case errors.Is(err, db.ErrNoRow):
			return tx.addMember(ctx, teamID, userID, role)
		case err != nil || before == role:
			return err
		}
		if err := tx.changeRole(ctx, teamID, userID, before, role); err != nil {
			return err
		}
		return tx.requireOwner(ctx, teamID)
	})
}

// RemoveMember takes a member out of a team and revokes what the member made for it. It
// returns ErrNoTeam, ErrNoMember or ErrLastOwner.
func (d *Directory) RemoveMember(ctx context.Context, teamID, userID uuid.UUID) error {
	return d.service.inTransaction(ctx, func(tx *changes) error {
		if err := tx.lockTeam(ctx, teamID); err != nil {
			return err
		}
		if err := tx.takeOut(ctx, teamID, userID); err != nil {
			return err
		}
		return tx.requireOwner(ctx, teamID)
	})
}
