package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// BeginExternal starts a sign-in at a provider: where the browser goes, and what
// it must bring along when it comes back.
func (s *Service) BeginExternal(ctx context.Context, provider string) (address string, attempt Attempt, err error) {
	known, err := s.provider(provider)
	if err != nil {
		return "", Attempt{}, err
	}
	attempt = Attempt{
		State: auth.NewSecret(), Nonce: auth.NewSecret(), Verifier: oauth2.GenerateVerifier(), Redirect: s.redirect(provider),
	}
	address, err = known.Begin(ctx, attempt)
	return address, attempt, err
}

// FinishExternal signs in who comes back from a provider.
func (s *Service) FinishExternal(ctx context.Context, provider string, attempt Attempt, code string, from Client) (SignIn, error) {
	known, err := s.provider(provider)
	if err != nil {
		return SignIn{}, err
	}
	attempt.Redirect = s.redirect(provider)
	who, err := known.Finish(ctx, attempt, code)
	if err != nil {
		return SignIn{}, err
	}
	var user rows.User
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		user, err = s.userOf(ctx, queries, provider, known.SignUp(), who)
		return err
	})
	if err != nil {
		return SignIn{}, err
	}
	if user.DisabledAt != nil {
		return SignIn{}, errNoAccount
	}
	return s.signIn(ctx, user, from)
}

var errNoAccount = fault.New(fault.Forbidden, "you have no account here; ask for an invitation")

// userOf finds the user of an external identity, or ties it to the account with
// the same verified mail address, or makes an account for who was invited.
func (s *Service) userOf(ctx context.Context, queries *rows.Queries, provider string, signUp bool, who External) (rows.User, error) {
	user, err := queries.FindUserByIdentity(ctx, rows.FindUserByIdentityParams{Provider: provider, Subject: who.Subject})
	if err == nil {
		return user, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return rows.User{}, fmt.Errorf("find user by identity: %w", err)
	}
	email, err := Email("email", who.Email)
	if err != nil {
		return rows.User{}, fault.New(fault.Forbidden, "the sign-in service does not vouch for your e-mail address")
	}
	user, err = queries.FindUserByEmail(ctx, email)
	if errors.Is(err, pgx.ErrNoRows) {
		user, err = s.newExternalUser(ctx, queries, signUp, email, who.Name)
	}
	if err != nil {
		return rows.User{}, err
	}
	identity := rows.AddIdentityParams{Provider: provider, Subject: who.Subject, UserID: user.ID}
	if err := queries.AddIdentity(ctx, identity); err != nil {
		return rows.User{}, fmt.Errorf("store identity: %w", err)
	}
	return user, nil
}

func (s *Service) newExternalUser(ctx context.Context, queries *rows.Queries, signUp bool, email, name string) (rows.User, error) {
	invitations, err := queries.UseInvitationsOf(ctx, email)
	if err != nil {
		return rows.User{}, fmt.Errorf("find invitations: %w", err)
	}
	if len(invitations) == 0 && !signUp {
		return rows.User{}, errNoAccount
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

func (s *Service) provider(name string) (Provider, error) {
	provider, known := s.Providers[name]
	if !known {
		return nil, fault.New(fault.NotFound, "there is no such sign-in service")
	}
	return provider, nil
}

func (s *Service) redirect(provider string) string {
	return s.PublicURL + "/auth/oidc/" + provider + "/callback"
}
