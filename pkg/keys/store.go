package keys

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// store maps rows of keys and tokens to the package's types.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

func (s store) createKey(ctx context.Context, teamID, maker uuid.UUID, secret string, wanted NewAPIKey) (APIKey, error) {
	mask := auth.MaskKey(secret)
	row, err := s.queries.IssueAPIKey(ctx, rows.IssueAPIKeyParams{
		ID: uuid.New(), TeamID: teamID, Name: wanted.Name, KeyHash: auth.HashKey(secret), KeyPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
		Scopes: scopeNames(wanted.Scopes), ExpiresAt: wanted.ExpiresAt, CreatedBy: optional(maker),
	})
	return keyOf(row), db.Wrap(err, "store API key")
}

// ensureKey stores a key that was chosen outside. It returns db.ErrNoRow where it is
// stored already.
func (s store) ensureKey(ctx context.Context, teamID, id uuid.UUID, secret, name string) error {
	mask := auth.MaskKey(secret)
	created, err := s.queries.CreateAPIKey(ctx, rows.CreateAPIKeyParams{
		ID: id, TeamID: teamID, Name: name, KeyHash: auth.HashKey(secret), KeyPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
	})
	return db.WrapCount(created, err, "store API key")
}

func (s store) keys(ctx context.Context, teamID uuid.UUID) ([]APIKey, error) {
	found, err := s.queries.ListAPIKeys(ctx, teamID)
	if err != nil {
		return nil, db.Wrap(err, "list API keys")
	}
	listed := make([]APIKey, 0, len(found))
	for _, row := range found {
		key := keyOf(row.APIKey)
		if row.CreatorEmail != nil {
			key.MakerEmail = *row.CreatorEmail
		}
		listed = append(listed, key)
	}
	return listed, nil
}

func (s store) countKeys(ctx context.Context, teamID uuid.UUID) (int64, error) {
	count, err := s.queries.CountAPIKeys(ctx, teamID)
	return count, db.Wrap(err, "count API keys")
}

// maker is the user who made an API key.
type maker struct {
	userID uuid.UUID // zero for the installation and for its admin without an account
	role   auth.Role // "" for a user who is not a member of the team
}

func (s store) makerOf(ctx context.Context, teamID, keyID uuid.UUID) (maker, error) {
	row, err := s.queries.FindAPIKeyMaker(ctx, rows.FindAPIKeyMakerParams{ID: keyID, TeamID: teamID})
	var found maker
	if row.CreatedBy != nil {
		found.userID = *row.CreatedBy
	}
	if row.Role != nil {
		found.role = auth.Role(*row.Role)
	}
	return found, db.Wrap(err, "find the maker of an API key")
}

func (s store) renameKey(ctx context.Context, teamID, keyID uuid.UUID, name string) error {
	count, err := s.queries.RenameAPIKey(ctx, rows.RenameAPIKeyParams{ID: keyID, TeamID: teamID, Name: name})
	return db.WrapCount(count, err, "rename API key")
}

// revokeKey returns the name and the scopes of the key.
func (s store) revokeKey(ctx context.Context, teamID, keyID uuid.UUID) (name string, scopes []auth.Permission, err error) {
	row, err := s.queries.RevokeAPIKey(ctx, rows.RevokeAPIKeyParams{ID: keyID, TeamID: teamID})
	return row.Name, scopesOf(row.Scopes), db.Wrap(err, "revoke API key")
}

// revokeKeysOf returns the events of the keys that it revokes.
func (s store) revokeKeysOf(ctx context.Context, userID uuid.UUID, teamID *uuid.UUID) ([]events.Draft, error) {
	revoked, err := s.queries.RevokeAPIKeysOf(ctx, rows.RevokeAPIKeysOfParams{UserID: &userID, TeamID: teamID})
	drafts := make([]events.Draft, 0, len(revoked))
	for _, row := range revoked {
		drafts = append(drafts, eventOf(events.KeyRevoked, row.TeamID, row.ID, row.Name))
	}
	return drafts, db.Wrap(err, "revoke API keys")
}

// revokeKeysBeyond returns the events of the keys that it revokes.
func (s store) revokeKeysBeyond(ctx context.Context, userID, teamID uuid.UUID, role auth.Role) ([]events.Draft, error) {
	revoked, err := s.queries.RevokeAPIKeysBeyond(ctx, rows.RevokeAPIKeysBeyondParams{
		UserID: &userID, TeamID: teamID, Scopes: append([]string{}, scopeNames(role.Scopes())...), AllScopes: role.AtLeast(auth.Admin),
	})
	drafts := make([]events.Draft, 0, len(revoked))
	for _, row := range revoked {
		drafts = append(drafts, eventOf(events.KeyRevoked, row.TeamID, row.ID, row.Name))
	}
	return drafts, db.Wrap(err, "revoke API keys")
}

func (s store) createToken(ctx context.Context, userID uuid.UUID, secret string, wanted NewAccessToken) (AccessToken, error) {
	mask := auth.MaskAccessToken(secret)
	row, err := s.queries.CreateAccessToken(ctx, rows.CreateAccessTokenParams{
		ID: uuid.New(), UserID: userID, Name: wanted.Name, TokenHash: auth.HashKey(secret), TokenPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd, ExpiresAt: wanted.ExpiresAt,
	})
	return tokenOf(row), db.Wrap(err, "store access token")
}

func (s store) tokens(ctx context.Context, userID uuid.UUID) ([]AccessToken, error) {
	found, err := s.queries.ListAccessTokens(ctx, userID)
	if err != nil {
		return nil, db.Wrap(err, "list access tokens")
	}
	listed := make([]AccessToken, 0, len(found))
	for _, row := range found {
		listed = append(listed, tokenOf(row))
	}
	return listed, nil
}

func (s store) countTokens(ctx context.Context, userID uuid.UUID) (int64, error) {
	count, err := s.queries.CountAccessTokens(ctx, userID)
	return count, db.Wrap(err, "count access tokens")
}

func (s store) deleteToken(ctx context.Context, userID, tokenID uuid.UUID) error {
	count, err := s.queries.DeleteAccessToken(ctx, rows.DeleteAccessTokenParams{ID: tokenID, UserID: userID})
	return db.WrapCount(count, err, "delete access token")
}

func (s store) deleteTokensOf(ctx context.Context, userID uuid.UUID) error {
	return db.Wrap(s.queries.DeleteAccessTokensOf(ctx, userID), "delete access tokens")
}

func keyOf(row rows.APIKey) APIKey {
	key := APIKey{
		ID: row.ID, TeamID: row.TeamID, Name: row.Name, Scopes: scopesOf(row.Scopes),
		Mask:      auth.Mask{Prefix: row.KeyPrefix, ValueLength: int(row.ValueLength), MaskedStart: row.MaskedPrefix, MaskedEnd: row.MaskedSuffix},
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt,
	}
	if row.CreatedBy != nil {
		key.MakerID = *row.CreatedBy
	}
	return key
}

func tokenOf(row rows.AccessToken) AccessToken {
	return AccessToken{
		ID: row.ID, UserID: row.UserID, Name: row.Name, CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt,
		Mask: auth.Mask{Prefix: row.TokenPrefix, ValueLength: int(row.ValueLength), MaskedStart: row.MaskedPrefix, MaskedEnd: row.MaskedSuffix},
	}
}

// scopesOf and scopeNames keep nil, which is all scopes, apart from none.
func scopesOf(names []string) []auth.Permission {
	if names == nil {
		return nil
	}
	scopes := make([]auth.Permission, 0, len(names))
	for _, name := range names {
		scopes = append(scopes, auth.Permission(name))
	}
	return scopes
}

func scopeNames(scopes []auth.Permission) []string {
	if scopes == nil {
		return nil
	}
	names := make([]string, 0, len(scopes))
	for _, scope := range scopes {
		names = append(names, string(scope))
	}
	return names
}

// optional is nil for the zero ID.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
