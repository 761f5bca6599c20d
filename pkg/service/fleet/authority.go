package fleet

import (
	"context"
	"errors"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// authorityPurpose binds the sealed key to what it is for.
const authorityPurpose = "certificate-authority-key"

// Sealer seals secrets for the database.
type Sealer interface {
	Seal(secret []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

// OpenAuthority returns the installation's certificate authority, and makes it
// the first time. Of replicas that start together all get the same.
func OpenAuthority(ctx context.Context, conn db.Conn, sealer Sealer) (*authority.Authority, error) {
	store := newStore(conn)
	stored, err := store.authority(ctx)
	if errors.Is(err, errNone) {
		if err := addNewAuthority(ctx, store, sealer); err != nil {
			return nil, err
		}
		stored, err = store.authority(ctx)
	}
	if err != nil {
		return nil, err
	}
	key, err := sealer.Open(stored.sealedKey, authorityPurpose)
	if err != nil {
		return nil, fmt.Errorf("open the certificate authority's key: %w", err)
	}
	return authority.Load(stored.certificate, key)
}

func addNewAuthority(ctx context.Context, store store, sealer Sealer) error {
	made, err := authority.New()
	if err != nil {
		return err
	}
	key, err := made.Key()
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(key, authorityPurpose)
	if err != nil {
		return fmt.Errorf("seal the certificate authority's key: %w", err)
	}
	return store.addAuthority(ctx, sealedAuthority{made.Certificate(), sealed})
}
