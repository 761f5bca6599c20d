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

// The purposes of one-time tokens, as the schema knows them.
const (
	forFirstAdmin    = "first_admin"
	forPasswordReset = "password_reset"
	forSecondFactor  = "second_factor"

	secondFactorLife = 5 * time.Minute
)

// SignIn is how far somebody has come: they have a session, or a challenge that
// takes a code of their second factor.
type SignIn struct {
	Session   Session
	Challenge string
}

// errWrongLogin is the same for an address without an account: nobody learns from
// it who has one.
var errWrongLogin = fault.New(fault.Unauthenticated, "the e-mail address or the password is wrong")

// Login takes an e-mail address and a password.
func (s *Service) Login(ctx context.Context, email, password string, from Client) (SignIn, error) {
	email, err := Email("email", email)
	if err != nil {
		return SignIn{}, err
	}
	if len(password) > longestPassword {
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

// checkLogin takes as long for an account that does not exist as for one that
// does.
func (s *Service) checkLogin(ctx context.Context, email, password string) (rows.User, error) {
	user, err := s.queries.FindUserByEmail(ctx, email)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return rows.User{}, fmt.Errorf("find user: %w", err)
	}
	hash, usable := user.PasswordHash, user.PasswordHash != "" && user.DisabledAt == nil
	if !usable {
		hash = formatHash(currentCost, make([]byte, saltBytes), make([]byte, currentCost.hashBytes))
	}
	matches, outdated, err := s.passwordMatches(ctx, password, hash)
	if err != nil {
		return rows.User{}, err
	}
	if !matches || !usable {
		return rows.User{}, errWrongLogin
	}
	if outdated {
		user.PasswordHash, err = s.rehash(ctx, user, password)
		return user, err
	}
	return user, nil
}

func (s *Service) rehash(ctx context.Context, user rows.User, password string) (hash string, err error) {
	if hash, err = s.hashPassword(ctx, password); err != nil {
		return "", err
	}
	if err := s.queries.RehashPassword(ctx, rows.RehashPasswordParams{ID: user.ID, NewHash: hash, OldHash: user.PasswordHash}); err != nil {
		return "", fmt.Errorf("store the new hash of a password: %w", err)
	}
	return hash, nil
}

// signIn goes on after the first factor of a user was checked. It refuses a user who
// was disabled, or whose password changed, since then: neither would end the session
// that begins here.
func (s *Service) signIn(ctx context.Context, checked rows.User, from Client) (in SignIn, err error) {
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		user, err := lockUser(ctx, queries, checked.ID)
		if err != nil {
			return err
		}
		if user.DisabledAt != nil || user.PasswordHash != checked.PasswordHash {
			return errWrongLogin
		}
		if user.TOTPConfirmedAt == nil {
			in.Session, err = s.newSession(ctx, queries, user, from)
			return err
		}
		in.Challenge, err = s.newOneTimeToken(ctx, queries, forSecondFactor, &user.ID, secondFactorLife)
		return err
	})
	return in, err
}

// SecondFactor takes the code that a challenge of Login asks for.
func (s *Service) SecondFactor(ctx context.Context, challenge, code string, from Client) (Session, error) {
	key := rows.FindOneTimeTokenParams{TokenHash: auth.HashKey(challenge), Purpose: forSecondFactor}
	asked, err := s.queries.FindOneTimeToken(ctx, key)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && asked.UserID == nil {
		return Session{}, fault.New(fault.Unauthenticated, "challenge: it is too long ago; sign in again")
	}
	if err != nil {
		return Session{}, fmt.Errorf("find challenge: %w", err)
	}
	var session Session
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		user, err := s.checkCode(ctx, queries, *asked.UserID, code, from)
		if err != nil {
			return err
		}
		if _, err := queries.UseOneTimeToken(ctx, rows.UseOneTimeTokenParams(key)); err != nil {
			return orWrongLink(err, "use challenge")
		}
		session, err = s.newSession(ctx, queries, user, from)
		return err
	})
	return session, err
}

// newOneTimeToken makes what is sent to a person once.
func (s *Service) newOneTimeToken(ctx context.Context, queries *rows.Queries, purpose string, userID *uuid.UUID, life time.Duration) (string, error) {
	token := auth.NewSecret()
	err := queries.CreateOneTimeToken(ctx, rows.CreateOneTimeTokenParams{
		TokenHash: auth.HashKey(token), Purpose: purpose, UserID: userID, ExpiresAt: time.Now().Add(life),
	})
	if err != nil {
		return "", fmt.Errorf("store one-time token: %w", err)
	}
	return token, nil
}
