package secrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// errNoSecret says that the team has no such secret.
var errNoSecret = errors.New("there is no such secret")

// store maps rows to secrets.
type store struct {
	conn    db.Conn
	queries *rows.Queries
}

func newStore(conn db.Conn) *store { return &store{conn, rows.New(conn)} }

func fromRow(row rows.Secret) Secret {
	return Secret{
		ID: row.ID, TeamID: row.TeamID, Name: row.Name, Version: row.Version, Metadata: row.Metadata,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, sealed: row.SealedValue,
	}
}

// one converts the answer of a query for one secret.
func one(row rows.Secret, err error) (Secret, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return Secret{}, errNoSecret
	}
	if err != nil {
		return Secret{}, err
	}
	return fromRow(row), nil
}

func (s *store) lockTeam(ctx context.Context, teamID uuid.UUID) error {
	if _, err := s.queries.LockTeam(ctx, teamID); err != nil {
		return fmt.Errorf("lock team: %w", err)
	}
	return nil
}

func (s *store) count(ctx context.Context, teamID uuid.UUID) (int64, error) {
	count, err := s.queries.CountSecrets(ctx, teamID)
	if err != nil {
		return 0, fmt.Errorf("count secrets: %w", err)
	}
	return count, nil
}

// get finds a team's secret by its ID or name.
func (s *store) get(ctx context.Context, teamID uuid.UUID, key string) (Secret, error) {
	return one(s.queries.FindSecret(ctx, rows.FindSecretParams{TeamID: teamID, Key: lookupKey(key)}))
}

// lock is get, and holds the row until the transaction ends.
func (s *store) lock(ctx context.Context, teamID uuid.UUID, key string) (Secret, error) {
	return one(s.queries.LockSecret(ctx, rows.LockSecretParams{TeamID: teamID, Key: lookupKey(key)}))
}

// list returns at most a number of a team's secrets, newest first, after a place.
func (s *store) list(ctx context.Context, teamID uuid.UUID, after cursor.Cursor, most int) ([]Secret, error) {
	found, err := s.queries.ListSecrets(ctx, rows.ListSecretsParams{
		TeamID: teamID, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(most),
	})
	return all(found, err)
}

// named returns those of a team's secrets that have one of the names, in the order of
// their IDs.
func (s *store) named(ctx context.Context, teamID uuid.UUID, names []string) ([]Secret, error) {
	return all(s.queries.FindSecrets(ctx, rows.FindSecretsParams{TeamID: teamID, Names: names}))
}

func all(found []rows.Secret, err error) ([]Secret, error) {
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	secrets := make([]Secret, 0, len(found))
	for _, row := range found {
		secrets = append(secrets, fromRow(row))
	}
	return secrets, nil
}

func (s *store) create(ctx context.Context, wanted Secret) (Secret, error) {
	return one(s.queries.CreateSecret(ctx, rows.CreateSecretParams{
		ID: wanted.ID, TeamID: wanted.TeamID, Name: wanted.Name, SealedValue: wanted.sealed, Metadata: wanted.Metadata,
	}))
}

// update stores a secret's value and metadata as its next version.
func (s *store) update(ctx context.Context, changed Secret) (Secret, error) {
	return one(s.queries.UpdateSecret(ctx, rows.UpdateSecretParams{
		ID: changed.ID, SealedValue: changed.sealed, Metadata: changed.Metadata,
	}))
}

func (s *store) delete(ctx context.Context, teamID uuid.UUID, key string) (Secret, error) {
	return one(s.queries.DeleteSecret(ctx, rows.DeleteSecretParams{TeamID: teamID, Key: lookupKey(key)}))
}

// record writes an event. It is the last statement of its transaction.
func (s *store) record(ctx context.Context, kind events.Type, secret Secret) error {
	return events.RecordAll(ctx, s.conn, draft(kind, secret))
}

func draft(kind events.Type, secret Secret) events.Draft {
	return events.Draft{
		TeamID: secret.TeamID, Type: kind, ResourceID: secret.ID,
		Data: map[string]any{"name": secret.Name, "version": secret.Version},
	}
}

// DeleteOfTeam deletes the secrets of a team that is being deleted, and returns their
// events, which its transaction writes last.
func DeleteOfTeam(ctx context.Context, conn db.Conn, teamID uuid.UUID) ([]events.Draft, error) {
	gone, err := all(newStore(conn).queries.DeleteSecretsOfTeam(ctx, teamID))
	if err != nil {
		return nil, err
	}
	drafts := make([]events.Draft, 0, len(gone))
	for _, secret := range gone {
		drafts = append(drafts, draft(events.SecretDeleted, secret))
	}
	return drafts, nil
}

// countSealed counts the sealed values of all tables by their key.
func (s *store) countSealed(ctx context.Context) (map[seal.KeyID]int64, error) {
	found, err := s.queries.CountSealed(ctx)
	if err != nil {
		return nil, fmt.Errorf("count sealed values: %w", err)
	}
	counts := map[seal.KeyID]int64{}
	for _, row := range found {
		if len(row.KeyID) == len(seal.KeyID{}) {
			counts[seal.KeyID(row.KeyID)] = row.Sealed
		}
	}
	return counts, nil
}

// NewSealed has the values of all teams' secrets, for a change of keys.
func NewSealed(conn db.Conn) seal.Store { return newStore(conn) }

// ListSealed implements seal.Store.
func (s *store) ListSealed(ctx context.Context, key seal.KeyID, after string, most int32) ([]seal.Stored, error) {
	found, err := s.queries.ListSealedSecrets(ctx, rows.ListSealedSecretsParams{KeyID: key[:], After: after, Batch: most})
	if err != nil {
		return nil, fmt.Errorf("list sealed secrets: %w", err)
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID, Purpose: purpose(row.TeamID, row.ID), Sealed: row.SealedValue})
	}
	return values, nil
}

// Replace implements seal.Store.
func (s *store) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	return s.queries.ReplaceSealedSecret(ctx, rows.ReplaceSealedSecretParams{ID: old.ID, SealedValue: sealed, OldValue: old.Sealed})
}
