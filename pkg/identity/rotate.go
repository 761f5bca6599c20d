package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SecondFactors are the sealed secrets of all users' second factors, for a change
// of keys.
type SecondFactors struct{ Queries *rows.Queries }

// ListSealed returns secrets that were sealed with other keys.
func (s SecondFactors) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	var behind uuid.UUID
	if after != "" {
		var err error
		if behind, err = uuid.Parse(after); err != nil {
			return nil, fmt.Errorf("go on behind user %q: %w", after, err)
		}
	}
	found, err := s.Queries.ListSealedSecondFactors(ctx, rows.ListSealedSecondFactorsParams{KeyID: notWith[:], After: behind, Batch: limit})
	if err != nil {
		return nil, fmt.Errorf("list sealed second factors: %w", err)
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID.String(), Purpose: totpPurpose + row.ID.String(), Sealed: row.TOTPSecret})
	}
	return values, nil
}

// Replace stores a secret that was sealed again, unless it was changed meanwhile.
func (s SecondFactors) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	id, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace second factor of user %q: %w", old.ID, err)
	}
	return s.Queries.ReplaceSealedSecondFactor(ctx, rows.ReplaceSealedSecondFactorParams{ID: id, TOTPSecret: sealed, OldSecret: old.Sealed})
}
