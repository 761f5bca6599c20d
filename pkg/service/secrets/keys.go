package secrets

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// Key describes a secret key of the installation.
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

// Keys lists the secret keys and what they are still needed for.
type Keys struct {
	store   *store
	keyring *seal.Keyring
}

// NewKeys lists the keys of a keyring.
func NewKeys(conn db.Conn, keyring *seal.Keyring) *Keys { return &Keys{newStore(conn), keyring} }

// List returns the keys of the keyring, and those that a stored value is sealed with.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	sealed, err := k.store.countSealed(ctx)
	if err != nil {
		return nil, err
	}
	newest, keys := k.keyring.NewestKey(), []Key{}
	for _, id := range k.keyring.Keys() {
		keys = append(keys, Key{ID: id, Newest: id == newest, Known: true, Sealed: sealed[id]})
		delete(sealed, id)
	}
	for id, count := range sealed {
		keys = append(keys, Key{ID: id, Sealed: count})
	}
	return keys, nil
}
