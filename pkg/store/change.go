package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// SetEnd ends a running sandbox after a time from now. It returns ErrOvertaken where it
// does not run.
func (s *Sandboxes) SetEnd(ctx context.Context, read sandbox.Sandbox, lifetime time.Duration) (sandbox.Sandbox, error) {
	exchange := s.exchange()
	noteEvent(ctx, &exchange.then, read.ID, sandbox.EventUpdated)
	row, err := exchange.main().SetEnd(ctx, rows.SetEndParams{ID: read.ID, TeamID: read.TeamID, Lifetime: lifetime})
	return one(row, err, ErrOvertaken, "set the end of sandbox %s", read.ID)
}

// ExtendEnd keeps a running sandbox for at least a time from now. It returns
// ErrOvertaken where it does not run.
func (s *Sandboxes) ExtendEnd(ctx context.Context, read sandbox.Sandbox, lifetime time.Duration) (sandbox.Sandbox, error) {
	exchange := s.exchange()
	_ = exchange.before.queries().ExtendEnd(ctx, rows.ExtendEndParams{ID: read.ID, TeamID: read.TeamID, Lifetime: lifetime})
	noteEvent(ctx, &exchange.before, read.ID, sandbox.EventUpdated)
	row, err := exchange.main().GetRunningFor(ctx, rows.GetRunningForParams{ID: read.ID, TeamID: read.TeamID, Lifetime: lifetime})
	return one(row, err, ErrOvertaken, "extend the life of sandbox %s", read.ID)
}

// SetNetwork stores the network of a sandbox that runs or can run again, without its
// values. It returns ErrNotFound where it cannot.
func (s *Sandboxes) SetNetwork(ctx context.Context, sandboxID string, network sandbox.Network) (sandbox.Sandbox, error) {
	exchange := s.exchange()
	_ = exchange.before.queries().SetNetwork(ctx, rows.SetNetworkParams{
		ID: sandboxID, Network: toNetwork(network), AllowInternetAccess: network.AllowInternetAccess,
	})
	noteEvent(ctx, &exchange.before, sandboxID, sandbox.EventUpdated)
	row, err := exchange.main().GetUsable(ctx, sandboxID)
	return one(row, err, ErrNotFound, "store the network of sandbox %s", sandboxID)
}

// SetWithoutMemory stores what the pause under way of a claimed sandbox will keep.
func (s *Sandboxes) SetWithoutMemory(ctx context.Context, pausing sandbox.Sandbox, withoutMemory bool) error {
	err := s.queries.SetWithoutMemory(ctx, rows.SetWithoutMemoryParams{
		ID: pausing.ID, Version: pausing.Version, WithoutMemory: withoutMemory,
	})
	if err != nil {
		return fmt.Errorf("note how sandbox %s is paused: %w", pausing.ID, err)
	}
	return nil
}

// RaiseTokenEpoch revokes the tokens of a team's sandbox that is not over.
func (s *Sandboxes) RaiseTokenEpoch(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error) {
	row, err := s.queries.RaiseSandboxTokenEpoch(ctx, rows.RaiseSandboxTokenEpochParams{ID: sandboxID, TeamID: teamID})
	return one(row, err, ErrNotFound, "revoke the tokens of sandbox %s", sandboxID)
}
