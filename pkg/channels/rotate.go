package channels

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SealedConfigs is the seal.Store of the configs of channels.
type SealedConfigs struct{ store store }

// NewSealedConfigs makes a SealedConfigs.
func NewSealedConfigs(conn db.Conn) SealedConfigs { return SealedConfigs{newStore(conn)} }

// ListSealed returns configs that were not sealed with a key.
func (s SealedConfigs) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	var afterID uuid.UUID
	if after != "" {
		var err error
		if afterID, err = uuid.Parse(after); err != nil {
			return nil, fmt.Errorf("list configs after channel %q: %w", after, err)
		}
	}
	found, err := s.store.listSealed(ctx, notWith[:], afterID, limit)
	if err != nil {
		return nil, err
	}
	values := make([]seal.Stored, 0, len(found))
	for _, channel := range found {
		values = append(values, seal.Stored{ID: channel.ID.String(), Purpose: purposeOf(channel.ID), Sealed: channel.sealedConfig})
	}
	return values, nil
}

// Replace stores a config that was sealed again, unless it has changed meanwhile.
func (s SealedConfigs) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	id, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace config of channel %q: %w", old.ID, err)
	}
	return s.store.replaceSealed(ctx, id, old.Sealed, sealed)
}
