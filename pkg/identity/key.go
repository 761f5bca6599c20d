package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// mostKeys is how many API keys a team, and how many access tokens a user, has.
const mostKeys = 200

// NewKey is an API key that somebody wants.
type NewKey struct {
	Name string
	// Scopes are what the key may do; nil means all that its maker may.
	Scopes []string
	// ExpiresAt is nil for a key that does not expire.
	ExpiresAt *time.Time
}

// IssueKey makes an API key for a team. It can do nothing that its maker cannot.
// The key itself is answered here and never again.
func (s *Service) IssueKey(ctx context.Context, by auth.Principal, teamID uuid.UUID, wanted NewKey) (string, rows.APIKey, error) {
	name, err := checkName(wanted.Name)
	if err != nil {
		return "", rows.APIKey{}, err
	}
	if err := inFuture(wanted.ExpiresAt); err != nil {
		return "", rows.APIKey{}, err
	}
	key := auth.NewKey()
	mask := auth.MaskKey(key)
	var row rows.APIKey
	err = s.inTransaction(ctx, func(queries *rows.Queries) error {
		by, err := currentWith(ctx, queries, by, teamID, auth.KeyWrite)
		if err != nil {
			return err
		}
		scopes, err := grantable(by, wanted.Scopes)
		if err != nil {
			return err
		}
		count, err := queries.CountAPIKeys(ctx, teamID)
		if err != nil {
			return fmt.Errorf("count API keys: %w", err)
		}
		if count >= mostKeys {
			return fault.New(fault.Conflict, "the team has %d API keys, which is the most", count)
		}
		row, err = queries.IssueAPIKey(ctx, rows.IssueAPIKeyParams{
			ID: uuid.New(), TeamID: teamID, Name: name, KeyHash: auth.HashKey(key),
			KeyPrefix: mask.Prefix, ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
			Scopes: scopes, ExpiresAt: wanted.ExpiresAt, CreatedBy: optional(by.UserID),
		})
		return err
	})
	return key, row, err
}

// grantable checks that a maker of a key may do what the key may. An admin's key
// without scopes has all, also those to come.
func grantable(by auth.Principal, wanted []string) ([]string, error) {
	if wanted == nil {
		if by.PlatformAdmin || by.Role.AtLeast(auth.Admin) {
			return nil, nil
		}
		wanted = []string{}
		for _, permission := range by.Role.Scopes() {
			wanted = append(wanted, string(permission))
		}
		return wanted, nil
	}
	for _, scope := range wanted {
		if !auth.IsScope(scope) {
			return nil, fault.New(fault.Invalid, "scopes: there is no scope %q", scope)
		}
		if !by.PlatformAdmin && !by.May(auth.Permission(scope)) {
			return nil, fault.New(fault.Forbidden, "scopes: you do not have %s yourself", scope)
		}
	}
	slices.Sort(wanted)
	return slices.Compact(wanted), nil
}

func inFuture(expires *time.Time) error {
	if expires != nil && !expires.After(time.Now()) {
		return fault.New(fault.Invalid, "expiresAt must be in the future")
	}
	return nil
}

// Keys returns a team's API keys.
func (s *Service) Keys(ctx context.Context, teamID uuid.UUID) ([]rows.ListAPIKeysRow, error) {
	keys, err := s.queries.ListAPIKeys(ctx, teamID)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return keys, nil
}

// RenameKey changes the name of an API key that the principal made, or somebody
// whose role is not above the principal's.
func (s *Service) RenameKey(ctx context.Context, by auth.Principal, teamID, keyID uuid.UUID, name string) error {
	name, err := checkName(name)
	if err != nil {
		return err
	}
	if err := mayChangeKey(ctx, s.queries, by, teamID, keyID); err != nil {
		return err
	}
	renamed, err := s.queries.RenameAPIKey(ctx, rows.RenameAPIKeyParams{ID: keyID, TeamID: teamID, Name: name})
	return changedOne(renamed, err, "API key")
}

// RevokeKey makes an API key worthless at once, and the tokens of sandboxes and
// volumes that it could read. The principal must have made it, or have a role that
// is not below the maker's.
func (s *Service) RevokeKey(ctx context.Context, by auth.Principal, teamID, keyID uuid.UUID) error {
	return s.inTransaction(ctx, func(queries *rows.Queries) error {
		if err := mayChangeKey(ctx, queries, by, teamID, keyID); err != nil {
			return err
		}
		scopes, err := queries.RevokeAPIKey(ctx, rows.RevokeAPIKeyParams{ID: keyID, TeamID: teamID})
		if err != nil {
			return notFound(err, "API key")
		}
		if !readsTokens(scopes) {
			return nil
		}
		return raiseEpoch(ctx, queries, teamID)
	})
}

// mayChangeKey refuses who may not change a key. One whose maker is not in the team
// is changed by its admins.
func mayChangeKey(ctx context.Context, queries *rows.Queries, by auth.Principal, teamID, keyID uuid.UUID) error {
	maker, err := queries.FindAPIKeyMaker(ctx, rows.FindAPIKeyMakerParams{ID: keyID, TeamID: teamID})
	if err != nil {
		return notFound(err, "API key")
	}
	if by.PlatformAdmin || maker.CreatedBy != nil && *maker.CreatedBy == by.UserID {
		return nil
	}
	needed := auth.Admin
	if maker.Role != nil {
		needed = auth.Role(*maker.Role)
	}
	if !by.Role.AtLeast(needed) {
		return fault.New(fault.Forbidden, "this API key was made by somebody whose role is above yours")
	}
	return nil
}

// readsTokens says whether a key with these scopes is shown tokens of sandboxes or
// volumes.
func readsTokens(scopes []string) bool {
	return scopes == nil || slices.Contains(scopes, string(auth.SandboxWrite)) || slices.Contains(scopes, string(auth.VolumeWrite))
}
