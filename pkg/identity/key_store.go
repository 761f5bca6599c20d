package identity

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// nameData is the data of the events of API keys.
func nameData(name string) map[string]string { return map[string]string{"name": name} }

func (c *changes) createKey(ctx context.Context, teamID, maker uuid.UUID, secret string, wanted NewKey) (APIKey, error) {
	mask := auth.MaskKey(secret)
	row, err := c.queries.IssueAPIKey(ctx, rows.IssueAPIKeyParams{
		ID: uuid.New(), TeamID: teamID, Name: wanted.Name, KeyHash: auth.HashKey(secret), KeyPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
		Scopes: scopeNames(wanted.Scopes), ExpiresAt: wanted.ExpiresAt, CreatedBy: optional(maker),
	})
	if err != nil {
		return APIKey{}, wrap(err, "store API key")
	}
	c.tell(teamID, events.KeyCreated, row.ID, nameData(row.Name))
	return keyOf(row), nil
}

// ensureKey stores a key that its owner has chosen, unless it is stored already.
func (c *changes) ensureKey(ctx context.Context, teamID uuid.UUID, secret, name string) error {
	id, mask := uuid.New(), auth.MaskKey(secret)
	created, err := c.queries.CreateAPIKey(ctx, rows.CreateAPIKeyParams{
		ID: id, TeamID: teamID, Name: name, KeyHash: auth.HashKey(secret), KeyPrefix: mask.Prefix,
		ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
	})
	if err != nil {
		return wrap(err, "store API key")
	}
	if created > 0 {
		c.tell(teamID, events.KeyCreated, id, nameData(name))
	}
	return nil
}

func (s *store) keys(ctx context.Context, teamID uuid.UUID) ([]APIKey, error) {
	found, err := s.queries.ListAPIKeys(ctx, teamID)
	if err != nil {
		return nil, wrap(err, "list API keys")
	}
	keys := make([]APIKey, 0, len(found))
	for _, row := range found {
		key := keyOf(row.APIKey)
		if row.CreatorEmail != nil {
			key.MakerEmail = *row.CreatorEmail
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (s *store) countKeys(ctx context.Context, teamID uuid.UUID) (int64, error) {
	count, err := s.queries.CountAPIKeys(ctx, teamID)
	return count, wrap(err, "count API keys")
}

// keyMaker is who made an API key.
type keyMaker struct {
	userID uuid.UUID // zero for the installation and for its admin without an account
	role   auth.Role // "" for one who is not a member of the team
}

func (s *store) makerOf(ctx context.Context, teamID, keyID uuid.UUID) (keyMaker, error) {
	row, err := s.queries.FindAPIKeyMaker(ctx, rows.FindAPIKeyMakerParams{ID: keyID, TeamID: teamID})
	var maker keyMaker
	if row.CreatedBy != nil {
		maker.userID = *row.CreatedBy
	}
	if row.Role != nil {
		maker.role = auth.Role(*row.Role)
	}
	return maker, wrap(err, "find the maker of an API key")
}

func (c *changes) renameKey(ctx context.Context, teamID, keyID uuid.UUID, name string) error {
	count, err := c.queries.RenameAPIKey(ctx, rows.RenameAPIKeyParams{ID: keyID, TeamID: teamID, Name: name})
	if err := changed(count, err, "rename API key"); err != nil {
		return err
	}
	c.tell(teamID, events.KeyUpdated, keyID, nameData(name))
	return nil
}

// revokeKey returns the scopes of the key.
func (c *changes) revokeKey(ctx context.Context, teamID, keyID uuid.UUID) ([]auth.Permission, error) {
	row, err := c.queries.RevokeAPIKey(ctx, rows.RevokeAPIKeyParams{ID: keyID, TeamID: teamID})
	if err != nil {
		return nil, wrap(err, "revoke API key")
	}
	c.tell(teamID, events.KeyRevoked, keyID, nameData(row.Name))
	return scopesOf(row.Scopes), nil
}

// revokeKeysOf revokes the keys that a user made for a team, or for all teams where
// teamID is nil.
func (c *changes) revokeKeysOf(ctx context.Context, userID uuid.UUID, teamID *uuid.UUID) error {
	revoked, err := c.queries.RevokeAPIKeysOf(ctx, rows.RevokeAPIKeysOfParams{UserID: &userID, TeamID: teamID})
	if err != nil {
		return wrap(err, "revoke API keys")
	}
	for _, row := range revoked {
		c.tell(row.TeamID, events.KeyRevoked, row.ID, nameData(row.Name))
	}
	return nil
}

// revokeKeysBeyond revokes the keys that a member made for a team and that a role may
// not make.
func (c *changes) revokeKeysBeyond(ctx context.Context, userID, teamID uuid.UUID, role auth.Role) error {
	revoked, err := c.queries.RevokeAPIKeysBeyond(ctx, rows.RevokeAPIKeysBeyondParams{
		UserID: &userID, TeamID: teamID, Scopes: orEmpty(scopeNames(role.Scopes())), AllScopes: role.AtLeast(auth.Admin),
	})
	if err != nil {
		return wrap(err, "revoke API keys")
	}
	for _, row := range revoked {
		c.tell(row.TeamID, events.KeyRevoked, row.ID, nameData(row.Name))
	}
	return nil
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

func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
