package idempotency

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// keyStore reads and writes the table of keys.
type keyStore struct{ queries *rows.Queries }

func newKeyStore(conn db.Conn) keyStore { return keyStore{rows.New(conn)} }

// key is what is stored of a key.
type key struct {
	hash      []byte
	sandboxID *string // nil before a sandbox is stored
	done      bool
	claimant  int32
	// underWay is set where its claimant is alive and has not taken longer than any
	// create may.
	underWay bool
}

// claim reports whether the key was free.
func (s keyStore) claim(ctx context.Context, teamID uuid.UUID, asked Request, claimant int32) (bool, error) {
	claimed, err := s.queries.ClaimIdempotencyKey(ctx, rows.ClaimIdempotencyKeyParams{
		TeamID: teamID, Key: asked.Key, RequestHash: asked.Hash[:], Claimant: claimant, Life: life,
	})
	if err != nil {
		return false, fmt.Errorf("claim an idempotency key: %w", err)
	}
	return claimed > 0, nil
}

// get returns ErrOvertaken where the key is not there any more.
func (s keyStore) get(ctx context.Context, teamID uuid.UUID, name string) (key, error) {
	row, err := s.queries.GetIdempotencyKey(ctx, rows.GetIdempotencyKeyParams{TeamID: teamID, Key: name, Longest: longestCreate})
	if errors.Is(err, pgx.ErrNoRows) {
		return key{}, operation.ErrOvertaken
	}
	if err != nil {
		return key{}, fmt.Errorf("get an idempotency key: %w", err)
	}
	return key{hash: row.RequestHash, sandboxID: row.SandboxID, done: row.Done, claimant: row.Claimant, underWay: row.UnderWay}, nil
}

// takeOver claims the key of a request that has failed. It returns ErrOvertaken where the
// key has changed since it was read.
func (s keyStore) takeOver(ctx context.Context, teamID uuid.UUID, name string, read key, claimant int32) error {
	taken, err := s.queries.TakeOverIdempotencyKey(ctx, rows.TakeOverIdempotencyKeyParams{
		TeamID: teamID, Key: name, Claimant: claimant, Before: read.claimant, SandboxID: read.sandboxID,
	})
	if err != nil {
		return fmt.Errorf("take over an idempotency key: %w", err)
	}
	if taken == 0 {
		return operation.ErrOvertaken
	}
	return nil
}

func (s keyStore) link(ctx context.Context, creating sandbox.Sandbox, name string, claimant int32) error {
	err := s.queries.LinkIdempotencyKey(ctx, rows.LinkIdempotencyKeyParams{
		TeamID: creating.TeamID, Key: name, SandboxID: &creating.ID, Claimant: claimant,
	})
	if err != nil {
		return fmt.Errorf("store what an idempotency key stands for: %w", err)
	}
	return nil
}

// finish returns ErrOvertaken where the key stands for another sandbox by now.
func (s keyStore) finish(ctx context.Context, made sandbox.Sandbox, name string) error {
	finished, err := s.queries.FinishIdempotencyKey(ctx, rows.FinishIdempotencyKeyParams{TeamID: made.TeamID, Key: name, SandboxID: &made.ID})
	if err != nil {
		return fmt.Errorf("store what an idempotency key came to: %w", err)
	}
	if finished == 0 {
		return operation.ErrOvertaken
	}
	return nil
}

func (s keyStore) forget(ctx context.Context, teamID uuid.UUID, name string, claimant int32) error {
	err := s.queries.ForgetIdempotencyKey(ctx, rows.ForgetIdempotencyKeyParams{TeamID: teamID, Key: name, Claimant: claimant})
	if err != nil {
		return fmt.Errorf("forget an idempotency key: %w", err)
	}
	return nil
}

// deleteOld returns how many of up to batch keys it has deleted.
func (s keyStore) deleteOld(ctx context.Context, batch int32) (int64, error) {
	deleted, err := s.queries.DeleteIdempotencyKeys(ctx, rows.DeleteIdempotencyKeysParams{Life: life, Batch: batch})
	if err != nil {
		return 0, fmt.Errorf("delete old idempotency keys: %w", err)
	}
	return deleted, nil
}
