package channels

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SealedConfigs are the configs of all channels, for a change of keys.
type SealedConfigs struct{ Queries *rows.Queries }

// ListSealed returns configs that were sealed with other keys.
func (s SealedConfigs) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	var behind uuid.UUID
	if after != "" {
		var err error
		if behind, err = uuid.Parse(after); err != nil {
			return nil, fmt.Errorf("go on behind channel %q: %w", after, err)
		}
	}
	found, err := s.Queries.ListSealedChannels(ctx, rows.ListSealedChannelsParams{KeyID: notWith[:], After: behind, Batch: limit})
	if err != nil {
		return nil, fmt.Errorf("list sealed channels: %w", err)
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID.String(), Purpose: purposeOf(row.ID), Sealed: row.SealedConfig})
	}
	return values, nil
}

// Replace stores a config that was sealed again, unless it was changed meanwhile.
func (s SealedConfigs) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	id, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace config of channel %q: %w", old.ID, err)
	}
	return s.Queries.ReplaceSealedChannel(ctx, rows.ReplaceSealedChannelParams{ID: id, SealedConfig: sealed, OldConfig: old.Sealed})
}
