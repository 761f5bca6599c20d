package factors

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SealPurpose is what the secret of a user's second factor is sealed for.
func SealPurpose(userID uuid.UUID) string { return "totp:" + userID.String() }

// Sealed is the seal.Store of the secrets of second factors.
type Sealed struct{ queries *rows.Queries }

// NewSealed makes a Sealed.
func NewSealed(conn db.Conn) Sealed { return Sealed{rows.New(conn)} }

// ListSealed returns secrets that were not sealed with a key.
func (s Sealed) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	var afterID uuid.UUID
	if after != "" {
		var err error
		if afterID, err = uuid.Parse(after); err != nil {
			return nil, fmt.Errorf("list second factors after user %q: %w", after, err)
		}
	}
	found, err := s.queries.ListSealedSecondFactors(ctx, rows.ListSealedSecondFactorsParams{KeyID: notWith[:], After: afterID, Batch: limit})
	if err != nil {
		return nil, db.Wrap(err, "list sealed second factors")
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID.String(), Purpose: SealPurpose(row.ID), Sealed: row.TOTPSecret})
	}
	return values, nil
}

// Replace stores a secret that was sealed again, unless it has changed meanwhile.
func (s Sealed) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	id, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace second factor of user %q: %w", old.ID, err)
	}
	err = s.queries.ReplaceSealedSecondFactor(ctx, rows.ReplaceSealedSecondFactorParams{ID: id, TOTPSecret: sealed, OldSecret: old.Sealed})
	return db.Wrap(err, "replace sealed second factor")
}
