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

const passwordResetLife = time.Hour

// RequestPasswordReset mails a link to whoever has an account with this address,
// and says nothing about whether there is one.
func (s *Service) RequestPasswordReset(ctx context.Context, email string, from Client) error {
	email, err := Email("email", email)
	if err != nil {
		return err
	}
	if err := s.resets.Take(email, from.Address); err != nil {
		return err
	}
	user, err := s.queries.FindUserByEmail(ctx, email)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && user.DisabledAt != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find user: %w", err)
	}
	token, err := s.newOneTimeToken(ctx, s.queries, forPasswordReset, &user.ID, passwordResetLife)
	if err != nil {
		return err
	}
	s.post(user.Email, "Choose a new password for Wrenn",
		"Somebody, hopefully you, asked for a new password for your account at "+s.PublicURL+".\n\n"+
			"This link lets you choose one, once, within an hour:\n\n"+s.link("password-reset", token)+
			"\n\nIf it was not you, there is nothing to do: your password stays as it is.\n")
	return nil
}

// ResetPassword takes a link of RequestPasswordReset. It revokes every credential
// that the user has or has made; a second factor is still asked for at the next
// sign-in.
func (s *Service) ResetPassword(ctx context.Context, token, password string) error {
	if err := checkPassword("password", password); err != nil {
		return err
	}
	hash, err := s.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, func(queries *rows.Queries) error {
		used, err := queries.UseOneTimeToken(ctx, rows.UseOneTimeTokenParams{TokenHash: auth.HashKey(token), Purpose: forPasswordReset})
		if err != nil {
			return orWrongLink(err, "use the link to a new password")
		}
		if used.UserID == nil {
			return errWrongLink
		}
		if err := setPassword(ctx, queries, *used.UserID, hash); err != nil {
			return err
		}
		return revokeAll(ctx, queries, *used.UserID)
	})
}

// ChangePassword changes the password of who knows it, ends all sessions, revokes
// access tokens and sandboxes' tokens, and begins a new session. API keys go on.
func (s *Service) ChangePassword(ctx context.Context, userID uuid.UUID, current, wanted string, from Client) (Session, error) {
	user, err := s.queries.GetUser(ctx, userID)
	if err != nil {
		return Session{}, fmt.Errorf("find user: %w", err)
	}
	if err := checkPassword("newPassword", wanted); err != nil {
		return Session{}, err
	}
	if len(current) > longestPassword {
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
	hash, err := s.hashPassword(ctx, wanted)
	if err != nil {
		return Session{}, err
	}
	return s.replacePassword(ctx, user, hash, from)
}

// replacePassword replaces the password that was checked, unless it was replaced
// meanwhile.
func (s *Service) replacePassword(ctx context.Context, checked rows.User, hash string, from Client) (session Session, err error) {
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		user, err := lockUser(ctx, queries, checked.ID)
		if err != nil {
			return err
		}
		if user.DisabledAt != nil || user.PasswordHash != checked.PasswordHash {
			return errWrongPassword
		}
		if err := setPassword(ctx, queries, user.ID, hash); err != nil {
			return err
		}
		session, err = s.newSession(ctx, queries, user, from)
		return err
	})
	return session, err
}

// errWrongPassword is not "unauthenticated": the session is valid.
var errWrongPassword = fault.New(fault.Forbidden, "currentPassword is wrong")

// setPassword also ends everything that the old password has led to.
func setPassword(ctx context.Context, queries *rows.Queries, userID uuid.UUID, hash string) error {
	if err := queries.SetPassword(ctx, rows.SetPasswordParams{ID: userID, PasswordHash: hash}); err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	if err := revokeOwn(ctx, queries, userID); err != nil {
		return err
	}
	for _, purpose := range []string{forPasswordReset, forSecondFactor} {
		if err := queries.DropOneTimeTokens(ctx, rows.DropOneTimeTokensParams{Purpose: purpose, UserID: &userID}); err != nil {
			return fmt.Errorf("end other links: %w", err)
		}
	}
	return nil
}
