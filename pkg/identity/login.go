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

// The purposes of one-time tokens, as the schema lists them.
const (
	forFirstAdmin    = "first_admin"
	forPasswordReset = "password_reset"
	forSecondFactor  = "second_factor"
	forLocalSignIn   = "local_sign_in"

	secondFactorLife = 5 * time.Minute
)

// SignIn is the result of a first factor: a session, or a challenge that SecondFactor
// needs together with a code.
type SignIn struct {
	Session   Session
	Challenge string
}

// Login checks an e-mail address and a password.
func (s *Service) Login(ctx context.Context, email, password string, from Client) (SignIn, error) {
	email, err := validate.Email("email", email)
	if err != nil {
		return SignIn{}, err
	}
	if len(password) > passwords.Longest {
		return SignIn{}, errWrongLogin
	}
	if err := s.passwords.Take(email, from.Address); err != nil {
		return SignIn{}, err
	}
	user, err := s.checkLogin(ctx, email, password)
	if err != nil {
		return SignIn{}, err
	}
	s.passwords.Succeeded(email, from.Address)
	return s.signIn(ctx, user, from)
}

// checkLogin takes as long for an address without an account as for one with it.
func (s *Service) checkLogin(ctx context.Context, email, password string) (account, error) {
	user, err := s.store.userByEmail(ctx, email)
	if err != nil && !errors.Is(err, db.ErrNoRow) {
		return account{}, err
	}
	hash, usable := user.passwordHash, user.HasPassword && user.DisabledAt == nil
	if !usable {
		hash = passwords.Unusable()
	}
	matches, outdated, err := s.hasher.Matches(ctx, password, hash)
	if err != nil {
		return account{}, err
	}
	if !matches || !usable {
		return account{}, errWrongLogin
	}
	if outdated {
		user.passwordHash, err = s.rehash(ctx, user, password)
		return user, err
	}
	return user, nil
}

func (s *Service) rehash(ctx context.Context, user account, password string) (string, error) {
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return "", err
	}
	return hash, s.store.replacePasswordHash(ctx, user.ID, user.passwordHash, hash)
}

// signIn goes on after a user's first factor was checked. It refuses a user who was
// disabled, or whose password changed, since then: both end sessions, but not one that
// begins afterwards.
func (s *Service) signIn(ctx context.Context, checked account, from Client) (in SignIn, err error) {
	err = s.inTransaction(ctx, func(tx *changes) error {
		user, err := tx.lockUser(ctx, checked.ID)
		if err != nil {
			return err
		}
		if user.DisabledAt != nil || user.passwordHash != checked.passwordHash {
			return errWrongLogin
		}
		in, err = tx.beginSession(ctx, user.User, from)
		return err
	})
	return in, err
}

// beginSession begins a session, or makes a challenge where the user has a second factor.
func (s *store) beginSession(ctx context.Context, user User, from Client) (in SignIn, err error) {
	if user.HasSecondFactor {
		in.Challenge, err = s.newOneTimeToken(ctx, forSecondFactor, &user.ID, secondFactorLife)
		return in, err
	}
	in.Session, err = s.newSession(ctx, user, from)
	return in, err
}

// SecondFactor checks the code that a challenge asks for.
func (s *Service) SecondFactor(ctx context.Context, challenge, code string, from Client) (Session, error) {
	token := oneTimeToken{auth.HashKey(challenge), forSecondFactor}
	userID, err := s.store.findOneTimeToken(ctx, token)
	if err != nil {
		return Session{}, db.OrElse(err, errNoChallenge)
	}
	if userID == nil {
		return Session{}, errNoChallenge
	}
	var session Session
	err = s.inTransaction(ctx, func(tx *changes) error {
		user, err := s.checkCode(ctx, tx, *userID, code, from)
		if err != nil {
			return err
		}
		if _, err := tx.useOneTimeToken(ctx, token); err != nil {
			return db.OrElse(err, errWrongLink)
		}
		session, err = tx.newSession(ctx, user.User, from)
		return err
	})
	return session, err
}

// newOneTimeToken makes a token that works once.
func (s *store) newOneTimeToken(ctx context.Context, purpose string, userID *uuid.UUID, life time.Duration) (string, error) {
	secret := auth.NewSecret()
	if err := s.createOneTimeToken(ctx, oneTimeToken{auth.HashKey(secret), purpose}, userID, life); err != nil {
		return "", err
	}
	return secret, nil
}
