package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

func (s *store) createSession(ctx context.Context, session Session, from Client) error {
	err := s.queries.CreateSession(ctx, rows.CreateSessionParams{
		TokenHash: auth.HashKey(session.Token), ID: uuid.New(), UserID: session.UserID, ExpiresAt: session.ExpiresAt,
		UserAgent: from.UserAgent, Address: from.Address,
	})
	return db.Wrap(err, "store session")
}

func (s *store) endSession(ctx context.Context, tokenHash []byte) error {
	_, err := s.queries.EndSession(ctx, tokenHash)
	return db.Wrap(err, "end session")
}

func (s *store) endSessionsOf(ctx context.Context, userID uuid.UUID) error {
	return db.Wrap(s.queries.EndSessionsOf(ctx, userID), "end sessions")
}

func (s *store) deleteExpired(ctx context.Context) error {
	return errors.Join(
		db.Wrap(s.queries.DeleteExpiredSessions(ctx), "delete expired sessions"),
		db.Wrap(s.queries.DeleteExpiredOneTimeTokens(ctx), "delete expired one-time tokens"),
	)
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
	return db.Wrap(err, "store one-time token")
}

// findOneTimeToken returns the user whose token it is, or nil where it belongs to none.
func (s *store) findOneTimeToken(ctx context.Context, token oneTimeToken) (*uuid.UUID, error) {
	row, err := s.queries.FindOneTimeToken(ctx, rows.FindOneTimeTokenParams{TokenHash: token.hash, Purpose: token.purpose})
	return row.UserID, db.Wrap(err, "find one-time token")
}

// useOneTimeToken is findOneTimeToken that also deletes it: of two uses one gets it.
func (s *store) useOneTimeToken(ctx context.Context, token oneTimeToken) (*uuid.UUID, error) {
	row, err := s.queries.UseOneTimeToken(ctx, rows.UseOneTimeTokenParams{TokenHash: token.hash, Purpose: token.purpose})
	return row.UserID, db.Wrap(err, "use one-time token")
}

// dropOneTimeTokens deletes the tokens of a purpose that a user has, or that belong to
// none where userID is nil.
func (s *store) dropOneTimeTokens(ctx context.Context, purpose string, userID *uuid.UUID) error {
	err := s.queries.DropOneTimeTokens(ctx, rows.DropOneTimeTokensParams{Purpose: purpose, UserID: userID})
	return db.Wrap(err, "delete one-time tokens")
}
