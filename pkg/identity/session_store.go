package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func (s *store) createSession(ctx context.Context, session Session, from Client) error {
	err := s.queries.CreateSession(ctx, rows.CreateSessionParams{
		TokenHash: auth.HashKey(session.Token), ID: uuid.New(), UserID: session.UserID, ExpiresAt: session.ExpiresAt,
		UserAgent: from.UserAgent, Address: from.Address,
	})
	return wrap(err, "store session")
}

func (s *store) endSession(ctx context.Context, tokenHash []byte) error {
	_, err := s.queries.EndSession(ctx, tokenHash)
	return wrap(err, "end session")
}

func (s *store) endSessionsOf(ctx context.Context, userID uuid.UUID) error {
	return wrap(s.queries.EndSessionsOf(ctx, userID), "end sessions")
}

// credentialUser returns the user of a principal's session or access token. It returns
// errNoRow where that was revoked or the user is disabled.
func (s *store) credentialUser(ctx context.Context, by auth.Principal) (User, error) {
	row, err := s.queries.FindCredentialUser(ctx, rows.FindCredentialUserParams{UserID: by.UserID, SessionID: by.SessionID, TokenID: by.TokenID})
	return userOf(row), wrap(err, "find the user of a credential")
}

func (s *store) deleteExpired(ctx context.Context) error {
	return errors.Join(
		wrap(s.queries.DeleteExpiredSessions(ctx), "delete expired sessions"),
		wrap(s.queries.DeleteExpiredOneTimeTokens(ctx), "delete expired one-time tokens"),
	)
}

func (s *store) createAccessToken(ctx context.Context, userID uuid.UUID, secret string, wanted NewAccessToken) (AccessToken, error) {
	mask := auth.MaskAccessToken(secret)
	row, err := s.queries.CreateAccessToken(ctx, rows.CreateAccessTokenParams{
		ID: uuid.New(), UserID: userID, Name: wanted.Name, TokenHash: auth.HashKey(secret), TokenPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd, ExpiresAt: wanted.ExpiresAt,
	})
	return accessTokenOf(row), wrap(err, "store access token")
}

func (s *store) accessTokens(ctx context.Context, userID uuid.UUID) ([]AccessToken, error) {
	found, err := s.queries.ListAccessTokens(ctx, userID)
	if err != nil {
		return nil, wrap(err, "list access tokens")
	}
	listed := make([]AccessToken, 0, len(found))
	for _, row := range found {
		listed = append(listed, accessTokenOf(row))
	}
	return listed, nil
}

func (s *store) countAccessTokens(ctx context.Context, userID uuid.UUID) (int64, error) {
	count, err := s.queries.CountAccessTokens(ctx, userID)
	return count, wrap(err, "count access tokens")
}

func (s *store) deleteAccessToken(ctx context.Context, userID, tokenID uuid.UUID) error {
	count, err := s.queries.DeleteAccessToken(ctx, rows.DeleteAccessTokenParams{ID: tokenID, UserID: userID})
	return changed(count, err, "delete access token")
}

func (s *store) deleteAccessTokensOf(ctx context.Context, userID uuid.UUID) error {
	return wrap(s.queries.DeleteAccessTokensOf(ctx, userID), "delete access tokens")
}

func accessTokenOf(row rows.AccessToken) AccessToken {
	return AccessToken{
		ID: row.ID, UserID: row.UserID, Name: row.Name, CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt,
		Mask: auth.Mask{Prefix: row.TokenPrefix, ValueLength: int(row.ValueLength), MaskedStart: row.MaskedPrefix, MaskedEnd: row.MaskedSuffix},
	}
}

// oneTimeToken is what is known of a token that works once.
type oneTimeToken struct {
	hash    []byte
	purpose string
}

func (s *store) createOneTimeToken(ctx context.Context, token oneTimeToken, userID *uuid.UUID, life time.Duration) error {
	err := s.queries.CreateOneTimeToken(ctx, rows.CreateOneTimeTokenParams{
		TokenHash: token.hash, Purpose: token.purpose, UserID: userID, ExpiresAt: time.Now().Add(life),
	})
	return wrap(err, "store one-time token")
}

// findOneTimeToken returns the user whose token it is, or nil where it belongs to none.
func (s *store) findOneTimeToken(ctx context.Context, token oneTimeToken) (*uuid.UUID, error) {
	row, err := s.queries.FindOneTimeToken(ctx, rows.FindOneTimeTokenParams{TokenHash: token.hash, Purpose: token.purpose})
	return row.UserID, wrap(err, "find one-time token")
}

// useOneTimeToken is findOneTimeToken that also deletes it: of two uses one gets it.
func (s *store) useOneTimeToken(ctx context.Context, token oneTimeToken) (*uuid.UUID, error) {
	row, err := s.queries.UseOneTimeToken(ctx, rows.UseOneTimeTokenParams{TokenHash: token.hash, Purpose: token.purpose})
	return row.UserID, wrap(err, "use one-time token")
}

// dropOneTimeTokens deletes the tokens of a purpose that a user has, or that belong to
// none where userID is nil.
func (s *store) dropOneTimeTokens(ctx context.Context, purpose string, userID *uuid.UUID) error {
	err := s.queries.DropOneTimeTokens(ctx, rows.DropOneTimeTokensParams{Purpose: purpose, UserID: userID})
	return wrap(err, "delete one-time tokens")
}
