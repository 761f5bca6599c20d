package keys

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// AccessToken lets programs act as a user.
type AccessToken struct {
	ID        uuid.UUID
	UserID    uuid.UUID
	Name      string
	Mask      auth.Mask
	CreatedAt time.Time
	// ExpiresAt and LastUsedAt are nil for never.
	ExpiresAt  *time.Time
	LastUsedAt *time.Time
}

// NewAccessToken is an access token to be made.
type NewAccessToken struct {
	Name string
	// ExpiresAt is nil for a token that does not expire.
	ExpiresAt *time.Time
}

// IssueToken makes an access token for the principal. The secret is returned here only.
func (s *Service) IssueToken(ctx context.Context, by auth.Principal, wanted NewAccessToken) (secret string, token AccessToken, err error) {
	if wanted.Name, err = validate.Name(wanted.Name); err != nil {
		return "", AccessToken{}, err
	}
	if err := inFuture(wanted.ExpiresAt); err != nil {
		return "", AccessToken{}, err
	}
	secret = auth.NewAccessToken()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := auth.CurrentUser(ctx, tx, by); err != nil {
			return err
		}
		count, err := newStore(tx).countTokens(ctx, by.UserID)
		if err != nil {
			return err
		}
		if count >= most {
			return fault.New(fault.Conflict, "you have %d access tokens, which is the most", count)
		}
		token, err = newStore(tx).createToken(ctx, by.UserID, secret, wanted)
		return err
	})
	return secret, token, err
}

// Tokens returns a user's access tokens, newest first.
func (s *Service) Tokens(ctx context.Context, userID uuid.UUID) ([]AccessToken, error) {
	return s.store.tokens(ctx, userID)
}

// RevokeToken revokes an access token of a user.
func (s *Service) RevokeToken(ctx context.Context, userID, tokenID uuid.UUID) error {
	return db.OrElse(s.store.deleteToken(ctx, userID, tokenID), ErrNoToken)
}
