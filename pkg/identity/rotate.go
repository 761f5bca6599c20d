package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// SecondFactors is the seal.Store of the secrets of second factors.
type SecondFactors struct{ store *store }

// NewSecondFactors makes a SecondFactors.
func NewSecondFactors(conn db.Conn) SecondFactors { return SecondFactors{newStore(conn)} }

// ListSealed returns secrets that were not sealed with a key.
func (s SecondFactors) ListSealed(ctx context.Context, notWith seal.KeyID, after string, limit int32) ([]seal.Stored, error) {
	var afterID uuid.UUID
	if after != "" {
		var err error
		if afterID, err = uuid.Parse(after); err != nil {
			return nil, fmt.Errorf("list second factors after user %q: %w", after, err)
		}
	}
	found, err := s.store.listSealedFactors(ctx, notWith[:], afterID, limit)
	if err != nil {
		return nil, err
	}
	values := make([]seal.Stored, 0, len(found))
	for _, factor := range found {
		id := factor.userID.String()
		values = append(values, seal.Stored{ID: id, Purpose: totpPurpose + id, Sealed: factor.secret})
	}
	return values, nil
}

// Replace stores a secret that was sealed again, unless it has changed meanwhile.
func (s SecondFactors) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	id, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace second factor of user %q: %w", old.ID, err)
	}
	return s.store.replaceSealedFactor(ctx, id, old.Sealed, sealed)
}
