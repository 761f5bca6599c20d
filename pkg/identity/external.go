package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

var (
	// ErrNoAccount says that a person who proved who they are has no account here and
	// gets none, or has one that is disabled.
	ErrNoAccount = fault.New(fault.Forbidden, "you have no account here; ask for an invitation")
	// ErrEmailNotVerified says that an identity that is tied to no account has no
	// e-mail address for which its provider vouches.
	ErrEmailNotVerified = fault.New(fault.Forbidden, "the sign-in service does not vouch for your e-mail address")
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
	return s.PublicURL + "/auth/oidc/" + provider + "/callback"
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
	var user rows.User
	err := s.inTransaction(ctx, func(queries *rows.Queries) (err error) {
		user, err = userOf(ctx, queries, who, signUp)
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

// userOf finds, ties or makes the user of an external identity.
func userOf(ctx context.Context, queries *rows.Queries, who ExternalIdentity, signUp SignUp) (rows.User, error) {
	user, err := queries.FindUserByIdentity(ctx, rows.FindUserByIdentityParams{Provider: who.Provider, Subject: who.Subject})
	if err == nil {
		return user, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return rows.User{}, fmt.Errorf("find user by identity: %w", err)
	}
	email, err := Email("email", who.Email)
	if err != nil || !who.EmailVerified {
		return rows.User{}, ErrEmailNotVerified
	}
	user, err = queries.FindUserByEmail(ctx, email)
	if errors.Is(err, pgx.ErrNoRows) {
		user, err = newExternalUser(ctx, queries, signUp, email, who.Name)
	}
	if err != nil {
		return rows.User{}, err
	}
	identity := rows.AddIdentityParams{Provider: who.Provider, Subject: who.Subject, UserID: user.ID}
	if err := queries.AddIdentity(ctx, identity); err != nil {
		return rows.User{}, fmt.Errorf("store identity: %w", err)
	}
	return user, nil
}

// newExternalUser makes an account and accepts the invitations that wait for it.
func newExternalUser(ctx context.Context, queries *rows.Queries, signUp SignUp, email, name string) (rows.User, error) {
	invitations, err := queries.UseInvitationsOf(ctx, email)
	if err != nil {
		return rows.User{}, fmt.Errorf("find invitations: %w", err)
	}
	if len(invitations) == 0 && signUp == InvitedOnly {
		return rows.User{}, ErrNoAccount
	}
	if name, err = checkName(name); err != nil {
		name, _, _ = strings.Cut(email, "@")
	}
	user, err := createUser(ctx, queries, rows.CreateUserParams{ID: uuid.New(), Email: email, Name: name})
	if err != nil {
		return rows.User{}, err
	}
	for _, invitation := range invitations {
		if err := join(ctx, queries, user.ID, invitation); err != nil {
			return rows.User{}, err
		}
	}
	return user, nil
}
