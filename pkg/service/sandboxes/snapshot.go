package sandboxes

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// Snapshot takes a snapshot of a running sandbox, which runs on.
func (s *Service) Snapshot(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted templates.NewSnapshot) (templates.Snapshot, error) {
	name, err := s.templates.SnapshotName(ctx, teamID, wanted.Name)
	if err != nil {
		return templates.Snapshot{}, err
	}
	var taken templates.Snapshot
	err = s.whenRunning(ctx, teamID, sandboxID, func(running sandbox.Sandbox) (err error) {
		err = s.guard.BeforeSnapshot(ctx, Snapshotting{Sandbox: running, Name: wanted.Name, WithoutMemory: wanted.WithoutMemory})
		if err != nil {
			return err
		}
		ctx, cancel := operation.Detach(ctx)
		defer cancel()
		taken, err = s.templates.TakeSnapshot(ctx, running, name, wanted.WithoutMemory)
		if err != nil {
			return s.orOvertaken(ctx, running, err)
		}
		s.logLine(ctx, running, "Snapshot taken", map[string]string{"snapshot": taken.ID})
		return nil
	})
	return taken, err
}
