package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	// SessionLife is how long a session lives at most.
	SessionLife      = 14 * 24 * time.Hour
	longestUserAgent = 200 // bytes
)

// Client is where a person comes from.
type Client struct {
	Address   string
	UserAgent string
}

// Session is a person who has signed in.
type Session struct {
	// Token is what the cookie holds; only its hash is stored.
	Token     string
	UserID    uuid.UUID
	Email     string
	ExpiresAt time.Time
}

func (s *Service) newSession(ctx context.Context, queries *rows.Queries, user rows.User, from Client) (Session, error) {
	session := Session{Token: auth.NewSecret(), UserID: user.ID, Email: user.Email, ExpiresAt: time.Now().Add(SessionLife)}
	agent := from.UserAgent[:min(len(from.UserAgent), longestUserAgent)]
	err := queries.CreateSession(ctx, rows.CreateSessionParams{
		TokenHash: auth.HashKey(session.Token), ID: uuid.New(), UserID: user.ID, ExpiresAt: session.ExpiresAt,
		UserAgent: strings.ReplaceAll(strings.ToValidUTF8(agent, ""), "\x00", ""), Address: from.Address,
	})
	if err != nil {
		return Session{}, fmt.Errorf("store session: %w", err)
	}
	return session, nil
}

// Logout ends a session. One that has ended already is no failure.
func (s *Service) Logout(ctx context.Context, token string) error {
	if _, err := s.queries.EndSession(ctx, auth.HashKey(token)); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
