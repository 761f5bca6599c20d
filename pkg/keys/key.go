package keys

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// APIKey lets programs act for a team.
type APIKey struct {
	ID     uuid.UUID
	TeamID uuid.UUID
	Name   string
	Mask   auth.Mask
	// Scopes are what the key may do; nil is all that a key can do.
	Scopes []auth.Permission
	// MakerID is zero for a key that the installation or its admin made. MakerEmail may
	// be empty.
	MakerID    uuid.UUID
	MakerEmail string
	CreatedAt  time.Time
	// ExpiresAt and LastUsedAt are nil for never.
	ExpiresAt  *time.Time
	LastUsedAt *time.Time
}

// NewAPIKey is an API key to be made.
type NewAPIKey struct {
	Name string
	// Scopes are what the key may do; nil is all that its maker may.
	Scopes []auth.Permission
	// ExpiresAt is nil for a key that does not expire.
	ExpiresAt *time.Time
}

// IssueKey makes an API key for a team. It may do nothing that its maker may not. The
// secret is returned here only.
func (s *Service) IssueKey(ctx context.Context, by auth.Principal, teamID uuid.UUID, wanted NewAPIKey) (secret string, key APIKey, err error) {
	if wanted.Name, err = validate.Name(wanted.Name); err != nil {
		return "", APIKey{}, err
	}
	if err := inFuture(wanted.ExpiresAt); err != nil {
		return "", APIKey{}, err
	}
	secret = auth.NewKey()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		by, err := auth.CurrentInTeam(ctx, tx, by, teamID, auth.KeyWrite)
		if err != nil {
			return err
		}
		if wanted.Scopes, err = grantable(by, wanted.Scopes); err != nil {
			return err
		}
		count, err := newStore(tx).countKeys(ctx, teamID)
		if err != nil {
			return err
		}
		if count >= most {
			return fault.New(fault.Conflict, "the team has %d API keys, which is the most", count)
		}
		if key, err = newStore(tx).createKey(ctx, teamID, by.UserID, secret, wanted); err != nil {
			return err
		}
		key.MakerEmail = by.Email
		return events.RecordAll(ctx, tx, eventOf(events.KeyCreated, teamID, key.ID, key.Name))
	})
	return secret, key, err
}

// grantable returns the scopes of a key, or a fault where its maker lacks one of them.
// nil of an admin stays nil: the key has all scopes, future ones included.
func grantable(by auth.Principal, wanted []auth.Permission) ([]auth.Permission, error) {
	if wanted == nil {
		if by.PlatformAdmin || by.Role.AtLeast(auth.Admin) {
			return nil, nil
		}
		return append([]auth.Permission{}, by.Role.Scopes()...), nil
	}
	for _, scope := range wanted {
		if !auth.IsScope(string(scope)) {
			return nil, fault.New(fault.Invalid, "scopes: there is no scope %q", scope)
		}
		if !by.PlatformAdmin && !by.May(scope) {
			return nil, fault.New(fault.Forbidden, "scopes: you do not have %s yourself", scope)
		}
	}
	wanted = slices.Clone(wanted)
	slices.Sort(wanted)
	return slices.Compact(wanted), nil
}

// Ensure stores a key of a team that was chosen outside, unless it is stored already; a
// revoked one stays revoked.
func Ensure(ctx context.Context, pool *pgxpool.Pool, teamID uuid.UUID, secret, name string) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		id := uuid.New()
		err := newStore(tx).ensureKey(ctx, teamID, id, secret, name)
		if err != nil {
			return db.OrElse(err, nil)
		}
		return events.RecordAll(ctx, tx, eventOf(events.KeyCreated, teamID, id, name))
	})
}

// Keys returns a team's API keys, newest first.
func (s *Service) Keys(ctx context.Context, teamID uuid.UUID) ([]APIKey, error) {
	return s.store.keys(ctx, teamID)
}

// RenameKey changes the name of an API key that the principal made, or a user whose role
// is not above the principal's.
func (s *Service) RenameKey(ctx context.Context, by auth.Principal, teamID, keyID uuid.UUID, name string) error {
	name, err := validate.Name(name)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := newStore(tx).mayChangeKey(ctx, by, teamID, keyID); err != nil {
			return err
		}
		if err := newStore(tx).renameKey(ctx, teamID, keyID, name); err != nil {
			return db.OrElse(err, ErrNoKey)
		}
		return events.RecordAll(ctx, tx, eventOf(events.KeyUpdated, teamID, keyID, name))
	})
}

// RevokeKey revokes an API key, and the tokens of sandboxes and volumes that it could
// read. The principal must have made it, or have a role that is not below its maker's.
func (s *Service) RevokeKey(ctx context.Context, by auth.Principal, teamID, keyID uuid.UUID) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := newStore(tx).mayChangeKey(ctx, by, teamID, keyID); err != nil {
			return err
		}
		name, scopes, err := newStore(tx).revokeKey(ctx, teamID, keyID)
		if err != nil {
			return db.OrElse(err, ErrNoKey)
		}
		if readsTokens(scopes) {
			if err := auth.RevokeTeamTokens(ctx, tx, teamID); err != nil {
				return err
			}
		}
		return events.RecordAll(ctx, tx, eventOf(events.KeyRevoked, teamID, keyID, name))
	})
}

// mayChangeKey refuses principals who may not change a key. A key whose maker is not a
// member is changed by admins of the team.
func (s store) mayChangeKey(ctx context.Context, by auth.Principal, teamID, keyID uuid.UUID) error {
	made, err := s.makerOf(ctx, teamID, keyID)
	if err != nil {
		return db.OrElse(err, ErrNoKey)
	}
	if by.PlatformAdmin || made.userID != uuid.Nil && made.userID == by.UserID {
		return nil
	}
	needed := auth.Admin
	if made.role != "" {
		needed = made.role
	}
	if !by.Role.AtLeast(needed) {
		return fault.New(fault.Forbidden, "this API key was made by somebody whose role is above yours")
	}
	return nil
}

// readsTokens says whether a key with these scopes is shown tokens of sandboxes or
// volumes.
func readsTokens(scopes []auth.Permission) bool {
	return scopes == nil || slices.Contains(scopes, auth.SandboxWrite) || slices.Contains(scopes, auth.VolumeWrite)
}
