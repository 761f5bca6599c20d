package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const firstAdminLife = 24 * time.Hour

// NewUser is what somebody says who makes an account.
type NewUser struct {
	Email    string // of the first admin; an invitation knows it
	Name     string
	Password string
}

// FirstAdminLink makes the link that the first admin's account is made with, or
// answers "" where there is an admin. The secret is in the part of the link that
// browsers do not send.
func (s *Service) FirstAdminLink(ctx context.Context) (string, error) {
	exists, err := s.queries.PlatformAdminExists(ctx)
	if err != nil {
		return "", fmt.Errorf("look for an admin: %w", err)
	}
	if exists {
		return "", nil
	}
	token, err := s.newOneTimeToken(ctx, s.queries, forFirstAdmin, nil, firstAdminLife)
	if err != nil {
		return "", err
	}
	return s.link("first-admin", token), nil
}

func (s *Service) link(page, token string) string {
	return s.PublicURL + "/" + page + "#token=" + token
}

// MakeFirstAdmin makes the account that FirstAdminLink is for: a platform admin
// who owns the team of that slug. All other such links end with it.
func (s *Service) MakeFirstAdmin(ctx context.Context, token, teamSlug string, wanted NewUser, from Client) (Session, error) {
	params, err := s.newUser(ctx, wanted)
	if err != nil {
		return Session{}, err
	}
	params.PlatformAdmin = true
	var session Session
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		if err := s.useFirstAdminLink(ctx, queries, token); err != nil {
			return err
		}
		user, err := createUser(ctx, queries, params)
		if err != nil {
			return err
		}
		team, err := queries.FindTeamBySlug(ctx, teamSlug)
		if err != nil {
			return fmt.Errorf("find the first team: %w", err)
		}
		_, err = queries.AddMember(ctx, rows.AddMemberParams{TeamID: team.ID, UserID: user.ID, Role: string(auth.Owner)})
		if err != nil {
			return fmt.Errorf("add the first owner: %w", err)
		}
		session, err = s.newSession(ctx, queries, user, from)
		return err
	})
	return session, err
}

func (s *Service) useFirstAdminLink(ctx context.Context, queries *rows.Queries, token string) error {
	if err := queries.LockFirstAdmin(ctx); err != nil {
		return fmt.Errorf("wait for others: %w", err)
	}
	used := rows.UseOneTimeTokenParams{TokenHash: auth.HashKey(token), Purpose: forFirstAdmin}
	if _, err := queries.UseOneTimeToken(ctx, used); err != nil {
		return orWrongLink(err, "use the first admin's link")
	}
	exists, err := queries.PlatformAdminExists(ctx)
	if err != nil {
		return fmt.Errorf("look for an admin: %w", err)
	}
	if exists {
		return errWrongLink
	}
	if err := queries.DropOneTimeTokens(ctx, rows.DropOneTimeTokensParams{Purpose: forFirstAdmin}); err != nil {
		return fmt.Errorf("end the other links: %w", err)
	}
	return nil
}

// newUser checks what somebody says and hashes the password.
func (s *Service) newUser(ctx context.Context, wanted NewUser) (rows.CreateUserParams, error) {
	email, err := Email("email", wanted.Email)
	if err != nil {
		return rows.CreateUserParams{}, err
	}
	name, err := checkName(wanted.Name)
	if err != nil {
		return rows.CreateUserParams{}, err
	}
	if err := checkPassword("password", wanted.Password); err != nil {
		return rows.CreateUserParams{}, err
	}
	hash, err := s.hashPassword(ctx, wanted.Password)
	if err != nil {
		return rows.CreateUserParams{}, err
	}
	return rows.CreateUserParams{ID: uuid.New(), Email: email, Name: name, PasswordHash: hash}, nil
}

func createUser(ctx context.Context, queries *rows.Queries, params rows.CreateUserParams) (rows.User, error) {
	user, err := queries.CreateUser(ctx, params)
	if isDuplicate(err) {
		return rows.User{}, fault.New(fault.Conflict, "email: there is an account with this address already; sign in to it")
	}
	if err != nil {
		return rows.User{}, fmt.Errorf("store user: %w", err)
	}
	return user, nil
}
