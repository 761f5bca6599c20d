package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/passwords"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

const passwordResetLife = time.Hour

// RequestPasswordReset mails a link to the user with an e-mail address. It returns the
// same where there is none.
func (s *Service) RequestPasswordReset(ctx context.Context, email string, from Client) error {
	email, err := validate.Email("email", email)
	if err != nil {
		return err
	}
	if err := s.resets.Take(email, from.Address); err != nil {
		return err
	}
	user, err := s.store.userByEmail(ctx, email)
	if errors.Is(err, db.ErrNoRow) || err == nil && (user.DisabledAt != nil || user.local) {
		return nil
	}
	if err != nil {
		return err
	}
	token, err := s.store.newOneTimeToken(ctx, forPasswordReset, &user.ID, passwordResetLife)
	if err != nil {
		return err
	}
	s.post(user.Email, "Choose a new password for Wrenn", "Somebody, hopefully you, asked for a new password for your account at "+s.config.PublicURL+".\n\n"+
		"This link lets you choose one, once, within an hour:\n\n"+s.link("password-reset", token)+
		"\n\nIf it was not you, there is nothing to do: your password stays as it is.\n")
	return nil
}

// ResetPassword sets a password by the token of RequestPasswordReset. It revokes every
// credential that the user has or has made. A second factor stays.
func (s *Service) ResetPassword(ctx context.Context, token, password string) error {
	if err := passwords.Check("password", password); err != nil {
		return err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, func(tx *changes) error {
		userID, err := tx.useOneTimeToken(ctx, oneTimeToken{auth.HashKey(token), forPasswordReset})
		if err != nil {
			return db.OrElse(err, errWrongLink)
		}
		if userID == nil {
			return errWrongLink
		}
		if err := tx.setPassword(ctx, *userID, hash); err != nil {
			return err
		}
		return tx.revokeAll(ctx, *userID)
	})
}

// ChangePassword replaces a password that the user knows. It ends all sessions, revokes
// access tokens and the tokens of sandboxes, and begins a new session. API keys stay.
func (s *Service) ChangePassword(ctx context.Context, userID uuid.UUID, current, wanted string, from Client) (Session, error) {
	user, err := s.store.user(ctx, userID)
	if err != nil {
		return Session{}, db.OrElse(err, ErrNoUser)
	}
	if err := passwords.Check("newPassword", wanted); err != nil {
		return Session{}, err
	}
	if len(current) > passwords.Longest {
		return Session{}, errWrongPassword
	}
	if err := s.passwords.Take(user.Email, from.Address); err != nil {
		return Session{}, err
	}
	if user, err = s.checkLogin(ctx, user.Email, current); errors.Is(err, errWrongLogin) {
		return Session{}, errWrongPassword
	} else if err != nil {
		return Session{}, err
	}
	s.passwords.Succeeded(user.Email, from.Address)
	hash, err := s.hasher.Hash(ctx, wanted)
	if err != nil {
		return Session{}, err
	}
	return s.replacePassword(ctx, user, hash, from)
}

// replacePassword replaces the password that was checked, unless it was replaced
// meanwhile.
func (s *Service) replacePassword(ctx context.Context, checked account, hash string, from Client) (session Session, err error) {
	err = s.inTransaction(ctx, func(tx *changes) error {
		user, err := tx.lockUser(ctx, checked.ID)
		if err != nil {
			return err
		}
		if user.DisabledAt != nil || user.passwordHash != checked.passwordHash {
			return errWrongPassword
		}
		if err := tx.setPassword(ctx, user.ID, hash); err != nil {
			return err
		}
		session, err = tx.newSession(ctx, user.User, from)
		return err
	})
	return session, err
}

// setPassword also revokes what the old password gave access to.
func (s *store) setPassword(ctx context.Context, userID uuid.UUID, hash string) error {
	if err := s.setPasswordHash(ctx, userID, hash); err != nil {
		return err
	}
	if err := s.revokeOwn(ctx, userID); err != nil {
		return err
	}
	for _, purpose := range []string{forPasswordReset, forSecondFactor} {
		if err := s.dropOneTimeTokens(ctx, purpose, &userID); err != nil {
			return err
		}
	}
	return nil
}
