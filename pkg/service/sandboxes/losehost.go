package sandboxes

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// LoseHost records that the sandboxes of a retired host are gone with it. Each has a
// transaction of its own, because each locks its team.
func (s *Service) LoseHost(ctx context.Context, hostID uuid.UUID) error {
	left, err := s.store.OnHost(ctx, hostID, s.claimant.ID())
	if err != nil {
		return err
	}
	for _, standing := range left {
		lost, err := s.store.Get(ctx, standing.ID)
		if err != nil {
			return err
		}
		if lost.State.Over() {
			continue
		}
		outcome := store.Outcome{State: sandbox.Killed, Cause: sandbox.CauseHostRetired}
		if lost.State == sandbox.Creating {
			outcome.State = sandbox.Failed
		}
		if _, err = s.move(ctx, lost, outcome); err != nil && !errors.Is(err, operation.ErrOvertaken) {
			return err
		}
	}
	return nil
}
