package sandboxes

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// LoseHost records that the sandboxes of a retired host are gone with it. Each has a
// transaction of its own, because each locks its team.
func (s *Service) LoseHost(ctx context.Context, hostID uuid.UUID) error {
	left, err := s.Queries.ListOnHost(ctx, rows.ListOnHostParams{HostID: hostID})
	if err != nil {
		return fmt.Errorf("list the sandboxes of host %s: %w", hostID, err)
	}
	for _, row := range left {
		sandbox, err := s.Queries.GetSandbox(ctx, row.ID)
		if err != nil {
			return fmt.Errorf("get sandbox %s: %w", row.ID, err)
		}
		if sandbox.State.Over() {
			continue
		}
		next := lifecycle.Killed
		if sandbox.State == lifecycle.Creating {
			next = lifecycle.Failed
		}
		_, err = s.transition(ctx, sandbox, next, "its host was retired")
		if err != nil && !errors.Is(err, operation.ErrOvertaken) {
			return err
		}
	}
	return nil
}
