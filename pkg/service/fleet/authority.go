package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/authority"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
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
func OpenAuthority(ctx context.Context, queries *rows.Queries, sealer Sealer) (*authority.Authority, error) {
	row, err := queries.GetAuthority(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := storeNewAuthority(ctx, queries, sealer); err != nil {
			return nil, err
		}
		row, err = queries.GetAuthority(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("get the certificate authority: %w", err)
	}
	key, err := sealer.Open(row.SealedKey, authorityPurpose)
	if err != nil {
		return nil, fmt.Errorf("open the certificate authority's key: %w", err)
	}
	return authority.Load(row.Certificate, key)
}

func storeNewAuthority(ctx context.Context, queries *rows.Queries, sealer Sealer) error {
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
	err = queries.StoreAuthority(ctx, rows.StoreAuthorityParams{Certificate: made.Certificate(), SealedKey: sealed})
	if err != nil {
		return fmt.Errorf("store the certificate authority: %w", err)
	}
	return nil
}

// AuthorityKeys is the authority's key as a store of sealed values, for its
// rotation.
type AuthorityKeys struct{ Queries *rows.Queries }

// ListSealed implements seal.Store.
func (s AuthorityKeys) ListSealed(ctx context.Context, notWith seal.KeyID, after string, _ int32) ([]seal.Stored, error) {
	row, err := s.Queries.GetAuthority(ctx)
	if errors.Is(err, pgx.ErrNoRows) || after != "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the certificate authority: %w", err)
	}
	if with, err := seal.KeyOf(row.SealedKey); err != nil || with == notWith {
		return nil, err
	}
	return []seal.Stored{{ID: authorityPurpose, Purpose: authorityPurpose, Sealed: row.SealedKey}}, nil
}

// Replace implements seal.Store.
func (s AuthorityKeys) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	return s.Queries.ReplaceAuthorityKey(ctx, rows.ReplaceAuthorityKeyParams{SealedKey: sealed, OldKey: old.Sealed})
}
