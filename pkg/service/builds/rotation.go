package builds

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// Sealed are the credentials and secrets of all builds that go on, for a change of keys.
// It implements seal.Store.
type Sealed struct{ store *store }

// NewSealed reads and writes the values in the database.
func NewSealed(conn db.Conn) Sealed { return Sealed{newStore(conn)} }

// ListSealed returns values that are sealed with another key.
func (s Sealed) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	return s.store.sealedWithOthers(ctx, notWith, after, limit)
}

// Replace stores a value that was sealed with a newer key, unless the build has ended
// meanwhile.
func (s Sealed) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	return s.store.replaceSealed(ctx, old, sealed)
}
