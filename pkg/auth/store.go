package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// store finds the principals of credentials.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

func (s store) key(ctx context.Context, hash []byte) (Principal, error) {
	row, err := s.queries.FindAPIKey(ctx, hash)
	if err != nil {
		return Principal{}, db.Wrap(err, "find API key")
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
		return Principal{}, db.Wrap(err, "find access token")
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
		return Principal{}, nil, db.Wrap(err, "find session")
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
	return db.Wrap(write(ctx, id), "write the time of a credential's use")
}

// membership returns a user's role in a team, or in the user's first team where teamID
// is nil.
func (s store) membership(ctx context.Context, userID uuid.UUID, teamID *uuid.UUID) (uuid.UUID, Role, error) {
	row, err := s.queries.FindMembership(ctx, rows.FindMembershipParams{UserID: userID, TeamID: teamID})
	return row.TeamID, Role(row.Role), db.Wrap(err, "find membership")
}

// requireTeam returns db.ErrNoRow for a team that does not exist.
func (s store) requireTeam(ctx context.Context, teamID uuid.UUID) error {
	_, err := s.queries.GetTeam(ctx, teamID)
	return db.Wrap(err, "find team")
}

func (s store) lockUser(ctx context.Context, userID uuid.UUID) error {
	_, err := s.queries.LockUser(ctx, userID)
	return db.Wrap(err, "lock user")
}

func (s store) lockTeam(ctx context.Context, teamID uuid.UUID) error {
	_, err := s.queries.LockTeam(ctx, teamID)
	return db.Wrap(err, "lock team")
}

// credentialUser says whether the user of a session or access token is an admin of the
// installation. It returns db.ErrNoRow where the credential was revoked or the user is
// disabled.
func (s store) credentialUser(ctx context.Context, by Principal) (platformAdmin bool, err error) {
	row, err := s.queries.FindCredentialUser(ctx, rows.FindCredentialUserParams{UserID: by.UserID, SessionID: by.SessionID, TokenID: by.TokenID})
	return row.PlatformAdmin, db.Wrap(err, "find the user of a credential")
}

func (s store) raiseEpoch(ctx context.Context, teamID uuid.UUID) error {
	count, err := s.queries.RaiseTokenEpoch(ctx, teamID)
	return db.WrapCount(count, err, "revoke the tokens of a team")
}
