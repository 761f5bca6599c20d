package sandboxes

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// RotateTokens revokes the tokens of a team's sandbox. Credentials derives the new
// ones.
func (s *Service) RotateTokens(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error) {
	if _, err := s.Get(ctx, teamID, sandboxID); err != nil {
		return sandbox.Sandbox{}, err
	}
	rotated, err := s.store.RaiseTokenEpoch(ctx, teamID, sandboxID)
	if errors.Is(err, store.ErrNotFound) {
		return sandbox.Sandbox{}, notFound(sandboxID) // it has ended meanwhile
	}
	return rotated, err
}
