package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
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

// IssueAccessToken makes an access token for the principal. The secret is returned here
// only.
func (s *Service) IssueAccessToken(ctx context.Context, by auth.Principal, wanted NewAccessToken) (secret string, token AccessToken, err error) {
	if wanted.Name, err = checkName(wanted.Name); err != nil {
		return "", AccessToken{}, err
	}
	if err := inFuture(wanted.ExpiresAt); err != nil {
		return "", AccessToken{}, err
	}
	secret = auth.NewAccessToken()
	err = s.inTransaction(ctx, func(tx *changes) error {
		if _, err := tx.lockCurrent(ctx, by); err != nil {
			return err
		}
		count, err := tx.countAccessTokens(ctx, by.UserID)
		if err != nil {
			return err
		}
		if count >= mostKeys {
			return fault.New(fault.Conflict, "you have %d access tokens, which is the most", count)
		}
		token, err = tx.createAccessToken(ctx, by.UserID, secret, wanted)
		return err
	})
	return secret, token, err
}

// AccessTokens returns a user's access tokens, newest first.
func (s *Service) AccessTokens(ctx context.Context, userID uuid.UUID) ([]AccessToken, error) {
	return s.store.accessTokens(ctx, userID)
}

// RevokeAccessToken revokes an access token of a user.
func (s *Service) RevokeAccessToken(ctx context.Context, userID, tokenID uuid.UUID) error {
	return orElse(s.store.deleteAccessToken(ctx, userID, tokenID), ErrNoToken)
}

func inFuture(expires *time.Time) error {
	if expires != nil && !expires.After(time.Now()) {
		return fault.New(fault.Invalid, "expiresAt must be in the future")
	}
	return nil
}
