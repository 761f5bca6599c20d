package builds

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// NewSealed has the credentials and secrets of all builds that go on, for a change of keys.
func NewSealed(conn db.Conn) seal.Store { return newStore(conn) }

// ListSealed implements seal.Store.
func (s *store) ListSealed(ctx context.Context, key seal.KeyID, after string, most int32) ([]seal.Stored, error) {
	found, err := s.queries.ListSealedBuilds(ctx, rows.ListSealedBuildsParams{KeyID: key[:], After: after, Batch: most})
	if err != nil {
		return nil, fmt.Errorf("list sealed values of builds: %w", err)
	}
	values := make([]seal.Stored, 0, len(found))
	for _, row := range found {
		values = append(values, seal.Stored{ID: row.ID, Purpose: purpose(row.TeamID, row.BuildID), Sealed: row.SealedConfidential})
	}
	return values, nil
}

// Replace implements seal.Store. A build that has ended meanwhile has no value.
func (s *store) Replace(ctx context.Context, old seal.Stored, sealed []byte) error {
	buildID, err := uuid.Parse(old.ID)
	if err != nil {
		return fmt.Errorf("replace the sealed value of build %q: %w", old.ID, err)
	}
	return s.queries.ReplaceSealedBuild(ctx, rows.ReplaceSealedBuildParams{BuildID: buildID, SealedValue: sealed, OldValue: old.Sealed})
}
