package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// RotateTokens revokes the tokens of a team's sandbox. Credentials derives the new
// ones.
func (s *Sandboxes) RotateTokens(ctx context.Context, teamID uuid.UUID, sandboxID string) (db.Sandbox, error) {
	if _, err := s.Get(ctx, teamID, sandboxID); err != nil {
		return db.Sandbox{}, err
	}
	sandbox, err := s.Queries.RaiseSandboxTokenEpoch(ctx, db.RaiseSandboxTokenEpochParams{ID: sandboxID, TeamID: teamID})
	if errors.Is(err, pgx.ErrNoRows) {
		return db.Sandbox{}, notFound(sandboxID) // it has ended meanwhile
	}
	if err != nil {
		return db.Sandbox{}, fmt.Errorf("revoke the tokens of sandbox %s: %w", sandboxID, err)
	}
	return sandbox, nil
}
