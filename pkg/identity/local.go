package identity

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const localLife = 15 * time.Minute // of a link of LocalSignInLink

// localEmail and localName are those of the user of this machine. No mail is sent there.
const localEmail, localName = "admin@localhost", "Admin of this machine"

var errNoLocalSignIn = fault.New(fault.NotFound, "this installation makes no links that sign in; WRENN_LOCAL_SIGN_IN is not set")

// LocalSignInLink makes a link that signs the user of this machine in without a password,
// once. Links that it made before work no more.
func (s *Service) LocalSignInLink(ctx context.Context) (link string, expires time.Time, err error) {
	if !s.config.LocalSignIn {
		return "", time.Time{}, errNoLocalSignIn
	}
	err = s.inTransaction(ctx, func(tx *changes) error {
		if err := tx.dropOneTimeTokens(ctx, forLocalSignIn, nil); err != nil {
			return err
		}
		token, err := tx.newOneTimeToken(ctx, forLocalSignIn, nil, localLife)
		link = s.link("local", token)
		return err
	})
	return link, time.Now().Add(localLife), err
}

// SignInLocally signs the user of this machine in by the token of LocalSignInLink. The
// first time it makes that user: an admin of the installation who owns the team of a slug.
func (s *Service) SignInLocally(ctx context.Context, token, teamSlug string, from Client) (in SignIn, err error) {
	if !s.config.LocalSignIn {
		return SignIn{}, errNoLocalSignIn
	}
	err = s.inTransaction(ctx, func(tx *changes) error {
		if err := tx.lockAdmins(ctx); err != nil {
			return err
		}
		if _, err := tx.useOneTimeToken(ctx, oneTimeToken{auth.HashKey(token), forLocalSignIn}); err != nil {
			return db.OrElse(err, errWrongLink)
		}
		user, err := tx.localUser(ctx)
		if errors.Is(err, db.ErrNoRow) {
			user, err = tx.makeLocalUser(ctx, teamSlug)
		}
		if err != nil {
			return err
		}
		if user.DisabledAt != nil {
			return ErrNoAccount
		}
		in, err = tx.beginSession(ctx, user.User, from)
		return err
	})
	return in, err
}

func (c *changes) makeLocalUser(ctx context.Context, teamSlug string) (account, error) {
	user, err := c.createUser(ctx, newAccount{email: localEmail, name: localName, platformAdmin: true, local: true})
	if err != nil {
		return account{}, err
	}
	team, err := c.teamBySlug(ctx, teamSlug)
	if err != nil {
		return account{}, err
	}
	return user, c.addMember(ctx, team.ID, user.ID, auth.Owner)
}
