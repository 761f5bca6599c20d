package seal

import (
	"context"
	"fmt"
)

// rotateBatch is how many values Rotate asks for at a time.
const rotateBatch = 100

// Stored is a sealed value of a Store.
type Stored struct {
	// ID finds the value in its store.
	ID string
	// Purpose is what the value was sealed for.
	Purpose string
	Sealed  []byte
}

// Store has sealed values.
type Store interface {
	// ListSealed returns up to limit values that were not sealed with a key, by ID, from
	// behind after on.
	ListSealed(ctx context.Context, notWith KeyID, after string, limit int32) ([]Stored, error)
	// Replace stores sealed in place of old. It does nothing where the value is no longer
	// the old one.
	Replace(ctx context.Context, old Stored, sealed []byte) error
}

// Rotate re-encrypts with the newest key every value of a store that an older key sealed,
// and returns how many. The store does not need the older keys afterwards.
func (k *Keyring) Rotate(ctx context.Context, store Store) (int, error) {
	rotated, after := 0, ""
	for {
		values, err := store.ListSealed(ctx, k.NewestKey(), after, rotateBatch)
		if err != nil {
			return rotated, fmt.Errorf("list sealed values: %w", err)
		}
		for _, value := range values {
			secret, err := k.Open(value.Sealed, value.Purpose)
			if err != nil {
				return rotated, fmt.Errorf("%s: %w", value.Purpose, err)
			}
			sealed, err := k.Seal(secret, value.Purpose)
			if err != nil {
				return rotated, err
			}
			if err := store.Replace(ctx, value, sealed); err != nil {
				return rotated, fmt.Errorf("replace sealed value of %s: %w", value.Purpose, err)
			}
			after = value.ID
			rotated++
		}
		if len(values) < rotateBatch {
			return rotated, nil
		}
	}
}
