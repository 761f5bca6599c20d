package secrets

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SealedSecrets are the values of all teams' secrets, for a change of keys.
type Sealed struct{ Queries *rows.Queries }

// ListSealed returns values that were sealed with other keys.
func (s Sealed) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	found, err := s.Queries.ListSealedSecrets(ctx, rows.ListSealedSecretsParams{KeyID: notWith[:], After: after, Batch: limit})
	if err != nil {
		return nil, fmt.Errorf("list sealed secrets: %w", err)
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID, Purpose: purpose(row.TeamID, row.ID), Sealed: row.SealedValue})
	}
	return values, nil
}

// Replace stores a value that was sealed again, unless it was changed meanwhile.
func (s Sealed) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	return s.Queries.ReplaceSealedSecret(ctx, rows.ReplaceSealedSecretParams{ID: old.ID, SealedValue: sealed, OldValue: old.Sealed})
}
