package identity

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	// SessionLife is the longest that a session lives.
	SessionLife      = 14 * 24 * time.Hour
	longestUserAgent = 200 // bytes
)

// Client is where a request to sign in comes from.
type Client struct {
	Address   string
	UserAgent string
}

// Session is a session that has begun.
type Session struct {
	// Token is the content of the cookie. Only its hash is stored.
	Token     string
	UserID    uuid.UUID
	Email     string
	ExpiresAt time.Time
}

func (s *store) newSession(ctx context.Context, user User, from Client) (Session, error) {
	session := Session{Token: auth.NewSecret(), UserID: user.ID, Email: user.Email, ExpiresAt: time.Now().Add(SessionLife)}
	agent := from.UserAgent[:min(len(from.UserAgent), longestUserAgent)]
	from.UserAgent = strings.ReplaceAll(strings.ToValidUTF8(agent, ""), "\x00", "")
	if err := s.createSession(ctx, session, from); err != nil {
		return Session{}, err
	}
	return session, nil
}

// Logout ends a session. It is no error where the session has ended already.
func (s *Service) Logout(ctx context.Context, token string) error {
	return s.store.endSession(ctx, auth.HashKey(token))
}
