package identity

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/passwords"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

const firstAdminLife = 24 * time.Hour

// NewUser is an account to be made.
type NewUser struct {
	Email    string // ignored where an invitation has the address
	Name     string
	Password string
}

// FirstAdminLink makes the link by which the account of the first admin is made; ""
// where there is an admin. The token is in the fragment, which browsers do not send.
func (s *Service) FirstAdminLink(ctx context.Context) (string, error) {
	exists, err := s.store.platformAdminExists(ctx)
	if err != nil || exists {
		return "", err
	}
	token, err := s.store.newOneTimeToken(ctx, forFirstAdmin, nil, firstAdminLife)
	if err != nil {
		return "", err
	}
	return s.link("first-admin", token), nil
}

func (s *Service) link(page, token string) string {
	return s.config.PublicURL + "/" + page + "#token=" + token
}

// MakeFirstAdmin makes an account by the token of FirstAdminLink: an admin of the
// installation who owns the team of a slug. It invalidates all such tokens.
func (s *Service) MakeFirstAdmin(ctx context.Context, token, teamSlug string, wanted NewUser, from Client) (Session, error) {
	checked, err := s.checkNewUser(ctx, wanted)
	if err != nil {
		return Session{}, err
	}
	checked.platformAdmin = true
	var session Session
	err = s.inTransaction(ctx, func(tx *changes) error {
		if err := tx.useFirstAdminLink(ctx, token); err != nil {
			return err
		}
		user, err := tx.createUser(ctx, checked)
		if err != nil {
			return err
		}
		team, err := tx.teamBySlug(ctx, teamSlug)
		if err != nil {
			return err
		}
		if err := tx.addMember(ctx, team.ID, user.ID, auth.Owner); err != nil {
			return err
		}
		session, err = tx.newSession(ctx, user.User, from)
		return err
	})
	return session, err
}

func (s *store) useFirstAdminLink(ctx context.Context, token string) error {
	if err := s.lockAdmins(ctx); err != nil {
		return err
	}
	if _, err := s.useOneTimeToken(ctx, oneTimeToken{auth.HashKey(token), forFirstAdmin}); err != nil {
		return db.OrElse(err, errWrongLink)
	}
	exists, err := s.platformAdminExists(ctx)
	if err != nil {
		return err
	}
	if exists {
		return errWrongLink
	}
	return s.dropOneTimeTokens(ctx, forFirstAdmin, nil)
}

// checkNewUser checks a user's details and hashes the password.
func (s *Service) checkNewUser(ctx context.Context, wanted NewUser) (newAccount, error) {
	email, err := validate.Email("email", wanted.Email)
	if err != nil {
		return newAccount{}, err
	}
	name, err := validate.Name(wanted.Name)
	if err != nil {
		return newAccount{}, err
	}
	if err := passwords.Check("password", wanted.Password); err != nil {
		return newAccount{}, err
	}
	hash, err := s.hasher.Hash(ctx, wanted.Password)
	return newAccount{email: email, name: name, passwordHash: hash}, err
}
