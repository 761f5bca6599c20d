package seal

import (
	"context"
	"fmt"
)

// rotateBatch is how many values Rotate asks for at a time.
const rotateBatch = 100

// Stored is a sealed value in its place.
type Stored struct {
	// ID finds the value in its store.
	ID string
	// Purpose is what it was sealed for.
	Purpose string
	Sealed  []byte
}

// Store is where sealed values are.
type Store interface {
	// ListSealed returns up to limit values that were not sealed with a key, by
	// ID, beginning behind one.
	ListSealed(ctx context.Context, notWith KeyID, after string, limit int32) ([]Stored, error)
	// Replace puts a value in the place of another that is still as it was read.
	Replace(ctx context.Context, old Stored, sealed []byte) error
}

// Rotate seals again with the newest key what a store has from older ones, and
// returns how many values those were. When it has returned, the older keys are no
// longer needed for this store.
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
