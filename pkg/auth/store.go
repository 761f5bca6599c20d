package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// errNoRow is returned for what does not exist, has expired or was revoked.
var errNoRow = errors.New("there is no such row")

// store finds the principals of credentials.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

func wrap(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return errNoRow
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

func (s store) key(ctx context.Context, hash []byte) (Principal, error) {
	row, err := s.queries.FindAPIKey(ctx, hash)
	if err != nil {
		return Principal{}, wrap(err, "find API key")
	}
	principal := Principal{Kind: ByKey, TeamID: row.TeamID, KeyID: row.ID, Scopes: scopesOf(row.Scopes)}
	return principal, touch(ctx, row.LastUsedAt, row.ID, s.queries.TouchAPIKey)
}

// scopesOf keeps nil, which is all scopes, apart from none.
func scopesOf(names []string) []Permission {
	if names == nil {
		return nil
	}
	scopes := make([]Permission, 0, len(names))
	for _, name := range names {
		scopes = append(scopes, Permission(name))
	}
	return scopes
}

func (s store) accessToken(ctx context.Context, hash []byte) (Principal, error) {
	row, err := s.queries.FindAccessToken(ctx, hash)
	if err != nil {
		return Principal{}, wrap(err, "find access token")
	}
	principal := Principal{
		Kind: ByAccessToken, UserID: row.UserID, Email: row.Email, TokenID: row.ID, PlatformAdmin: row.PlatformAdmin,
	}
	return principal, touch(ctx, row.LastUsedAt, row.ID, s.queries.TouchAccessToken)
}

// session returns the principal of a session; used says that the session was used. A
// session that was not used since a time has ended.
func (s store) session(ctx context.Context, hash []byte, idleSince time.Time) (principal Principal, used func() error, err error) {
	row, err := s.queries.FindSession(ctx, rows.FindSessionParams{TokenHash: hash, IdleSince: idleSince})
	if err != nil {
		return Principal{}, nil, wrap(err, "find session")
	}
	principal = Principal{
		Kind: BySession, UserID: row.UserID, Email: row.Email, SessionID: row.ID, PlatformAdmin: row.PlatformAdmin,
	}
	return principal, func() error { return touch(ctx, &row.LastUsedAt, row.ID, s.queries.TouchSession) }, nil
}

// touch writes the time of a credential's use, unless the last one is recent.
func touch(ctx context.Context, last *time.Time, id uuid.UUID, write func(context.Context, uuid.UUID) error) error {
	if last != nil && time.Since(*last) <= touchEvery {
		return nil
	}
	return wrap(write(ctx, id), "write the time of a credential's use")
}

// membership returns a user's role in a team, or in the user's first team where teamID
// is nil.
func (s store) membership(ctx context.Context, userID uuid.UUID, teamID *uuid.UUID) (uuid.UUID, Role, error) {
	row, err := s.queries.FindMembership(ctx, rows.FindMembershipParams{UserID: userID, TeamID: teamID})
	return row.TeamID, Role(row.Role), wrap(err, "find membership")
}

// requireTeam returns errNoRow for a team that does not exist.
func (s store) requireTeam(ctx context.Context, teamID uuid.UUID) error {
	_, err := s.queries.GetTeam(ctx, teamID)
	return wrap(err, "find team")
}
