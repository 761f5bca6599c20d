package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// BeginExternal begins a sign-in with a provider. It returns where the browser must
// go, and the attempt, which FinishExternal needs again.
func (s *Service) BeginExternal(ctx context.Context, provider string) (redirectURL string, attempt Attempt, err error) {
	known, err := s.provider(provider)
	if err != nil {
		return "", Attempt{}, err
	}
	attempt = Attempt{
		State: auth.NewSecret(), Nonce: auth.NewSecret(), Verifier: oauth2.GenerateVerifier(), CallbackURL: s.callbackURL(provider),
	}
	redirectURL, err = known.Begin(ctx, attempt)
	return redirectURL, attempt, err
}

// FinishExternal signs in the person who comes back from a provider. It returns
// ErrOtherAttempt for a callback that belongs to another attempt.
func (s *Service) FinishExternal(ctx context.Context, provider string, attempt Attempt, callback *http.Request, from Client) (SignIn, error) {
	known, err := s.provider(provider)
	if err != nil {
		return SignIn{}, err
	}
	if err := attempt.check(callback); err != nil {
		return SignIn{}, err
	}
	attempt.CallbackURL = s.callbackURL(provider)
	who, err := known.Finish(ctx, attempt, callback)
	if err != nil {
		return SignIn{}, err
	}
	who.Provider = known.Name() // none speaks for another
	return s.SignInExternal(ctx, who, signUpOf(known), from)
}

func (s *Service) callbackURL(provider string) string {
	return s.config.PublicURL + "/auth/oidc/" + provider + "/callback"
}

// SignInExternal begins a session for the user of an identity, or a challenge where
// the user has a second factor. The caller must have verified the identity.
//
// The user is the one that the identity is tied to. An identity that comes for the
// first time is tied to the account that has its verified e-mail address, or to a new
// account where the address was invited or signUp is Everyone.
func (s *Service) SignInExternal(ctx context.Context, who ExternalIdentity, signUp SignUp, from Client) (SignIn, error) {
	if who.Provider == "" || who.Subject == "" {
		return SignIn{}, fmt.Errorf("external identity %q of provider %q: both are needed", who.Subject, who.Provider)
	}
	var user account
	err := s.inTransaction(ctx, func(tx *changes) (err error) {
		user, err = tx.userOfIdentity(ctx, who, signUp)
		return err
	})
	if err != nil {
		return SignIn{}, err
	}
	if user.DisabledAt != nil {
		return SignIn{}, ErrNoAccount
	}
	return s.signIn(ctx, user, from)
}

// userOfIdentity finds, ties or makes the user of an external identity.
func (c *changes) userOfIdentity(ctx context.Context, who ExternalIdentity, signUp SignUp) (account, error) {
	user, err := c.userByIdentity(ctx, who.Provider, who.Subject)
	if !errors.Is(err, db.ErrNoRow) {
		return user, err
	}
	email, err := validate.Email("email", who.Email)
	if err != nil || !who.EmailVerified {
		return account{}, ErrEmailNotVerified
	}
	user, err = c.userByEmail(ctx, email)
	if errors.Is(err, db.ErrNoRow) {
		user, err = c.newExternalUser(ctx, signUp, email, who.Name)
	}
	if err != nil || user.local {
		return account{}, cmp.Or(err, error(ErrNoAccount))
	}
	err = c.addIdentity(ctx, user.ID, who.Provider, who.Subject)
	if errors.Is(err, ErrIdentityTaken) {
		// Another request has tied it since it was looked for.
		return c.userByIdentity(ctx, who.Provider, who.Subject)
	}
	return user, err
}

// newExternalUser makes an account and accepts the invitations of its address.
func (c *changes) newExternalUser(ctx context.Context, signUp SignUp, email, name string) (account, error) {
	invitations, err := c.useInvitationsOf(ctx, email)
	if err != nil {
		return account{}, err
	}
	if len(invitations) == 0 && signUp == InvitedOnly {
		return account{}, ErrNoAccount
	}
	if name, err = validate.Name(name); err != nil {
		name, _, _ = strings.Cut(email, "@")
	}
	user, err := c.createUser(ctx, newAccount{email: email, name: name})
	if err != nil {
		return account{}, err
	}
	for _, invitation := range invitations {
		if err := c.addMember(ctx, invitation.TeamID, user.ID, invitation.Role); err != nil {
			return account{}, err
		}
	}
	return user, nil
}
