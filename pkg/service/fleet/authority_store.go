package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// sealedAuthority is the installation's certificate authority as it is stored.
type sealedAuthority struct{ certificate, sealedKey []byte }

// errNone is returned where something is not stored yet.
var errNone = errors.New("not stored yet")

// authority returns errNone where there is none.
func (s store) authority(ctx context.Context) (sealedAuthority, error) {
	row, err := s.queries.GetAuthority(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return sealedAuthority{}, errNone
	}
	if err != nil {
		return sealedAuthority{}, fmt.Errorf("get the certificate authority: %w", err)
	}
	return sealedAuthority{row.Certificate, row.SealedKey}, nil
}

// addAuthority stores an authority unless there is one.
func (s store) addAuthority(ctx context.Context, added sealedAuthority) error {
	err := s.queries.StoreAuthority(ctx, rows.StoreAuthorityParams{Certificate: added.certificate, SealedKey: added.sealedKey})
	if err != nil {
		return fmt.Errorf("store the certificate authority: %w", err)
	}
	return nil
}

// AuthorityKeys is the authority's key as a store of sealed values, for its
// rotation.
type AuthorityKeys struct{ store store }

// NewAuthorityKeys returns the store.
func NewAuthorityKeys(conn db.Conn) AuthorityKeys { return AuthorityKeys{newStore(conn)} }

// ListSealed implements seal.Store.
func (k AuthorityKeys) ListSealed(ctx context.Context, notWith seal.KeyID, after string, _ int32) ([]seal.Stored, error) {
	if after != "" {
		return nil, nil
	}
	stored, err := k.store.authority(ctx)
	if errors.Is(err, errNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if with, err := seal.KeyOf(stored.sealedKey); err != nil || with == notWith {
		return nil, err
	}
	return []seal.Stored{{ID: authorityPurpose, Purpose: authorityPurpose, Sealed: stored.sealedKey}}, nil
}

// Replace implements seal.Store.
func (k AuthorityKeys) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	return k.store.queries.ReplaceAuthorityKey(ctx, rows.ReplaceAuthorityKeyParams{SealedKey: sealed, OldKey: old.Sealed})
}
