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

// IssueAccessToken makes an access token for a user. The token itself is answered
// here and never again.
func (s *Service) IssueAccessToken(ctx context.Context, by auth.Principal, name string, expires *time.Time) (string, rows.AccessToken, error) {
	name, err := checkName(name)
	if err != nil {
		return "", rows.AccessToken{}, err
	}
	if err := inFuture(expires); err != nil {
		return "", rows.AccessToken{}, err
	}
	token := auth.NewAccessToken()
	mask := auth.MaskAccessToken(token)
	var row rows.AccessToken
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		if _, err := lockCurrent(ctx, queries, by); err != nil {
			return err
		}
		count, err := queries.CountAccessTokens(ctx, by.UserID)
		if err != nil {
			return fmt.Errorf("count access tokens: %w", err)
		}
		if count >= mostKeys {
			return fault.New(fault.Conflict, "you have %d access tokens, which is the most", count)
		}
		row, err = queries.CreateAccessToken(ctx, rows.CreateAccessTokenParams{
			ID: uuid.New(), UserID: by.UserID, Name: name, TokenHash: auth.HashKey(token),
			TokenPrefix: mask.Prefix, ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
			ExpiresAt: expires,
		})
		return err
	})
	return token, row, err
}

// AccessTokens returns a user's access tokens.
func (s *Service) AccessTokens(ctx context.Context, userID uuid.UUID) ([]rows.AccessToken, error) {
	tokens, err := s.queries.ListAccessTokens(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("list access tokens: %w", err)
	}
	return tokens, nil
}

// RevokeAccessToken makes an access token worthless at once.
func (s *Service) RevokeAccessToken(ctx context.Context, userID, tokenID uuid.UUID) error {
	deleted, err := s.queries.DeleteAccessToken(ctx, rows.DeleteAccessTokenParams{ID: tokenID, UserID: userID})
	return changedOne(deleted, err, "access token")
}

// changedOne turns a change of no row into a fault.
func changedOne(rows int64, err error, what string) error {
	if err == nil && rows == 0 {
		err = pgx.ErrNoRows
	}
	return notFound(err, what)
}

func notFound(err error, what string) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fault.New(fault.NotFound, "there is no such %s", what)
	case err != nil:
		return fmt.Errorf("change %s: %w", what, err)
	default:
		return nil
	}
}
