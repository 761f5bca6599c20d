package secrets

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SecretKey is a secret key of the installation, without the key.
type Key struct {
	ID seal.KeyID
	// Newest says that tokens are derived from it, and that secrets are sealed with
	// it.
	Newest bool
	// Known is false for a key that this control plane does not have: it cannot open
	// what was sealed with it.
	Known bool
	// Sealed is how many values of Wrenn's own tables are sealed with it.
	Sealed int64
}

// SecretKeys knows the secret keys and what they are still needed for.
type Keys struct {
	Queries *rows.Queries
	Keyring *seal.Keyring
}

// List returns all keys that there are, and those that something is sealed with.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	found, err := k.Queries.CountSealed(ctx)
	if err != nil {
		return nil, fmt.Errorf("count sealed values: %w", err)
	}
	newest, sealed := k.Keyring.NewestKey(), map[seal.KeyID]int64{}
	for _, row := range found {
		if len(row.KeyID) == len(newest) {
			sealed[seal.KeyID(row.KeyID)] = row.Sealed
		}
	}
	keys := []Key{}
	for _, id := range k.Keyring.Keys() {
		keys = append(keys, Key{ID: id, Newest: id == newest, Known: true, Sealed: sealed[id]})
		delete(sealed, id)
	}
	for id, count := range sealed {
		keys = append(keys, Key{ID: id, Sealed: count})
	}
	return keys, nil
}
