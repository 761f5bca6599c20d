package sandboxes

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// RotateTokens revokes the tokens of a team's sandbox. Credentials derives the new
// ones.
func (s *Service) RotateTokens(ctx context.Context, teamID uuid.UUID, sandboxID string) (rows.Sandbox, error) {
	if _, err := s.Get(ctx, teamID, sandboxID); err != nil {
		return rows.Sandbox{}, err
	}
	sandbox, err := s.Queries.RaiseSandboxTokenEpoch(ctx, rows.RaiseSandboxTokenEpochParams{ID: sandboxID, TeamID: teamID})
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.Sandbox{}, notFound(sandboxID) // it has ended meanwhile
	}
	if err != nil {
		return rows.Sandbox{}, fmt.Errorf("revoke the tokens of sandbox %s: %w", sandboxID, err)
	}
	return sandbox, nil
}
