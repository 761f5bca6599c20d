package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Insert stores a sandbox that is to be created. It must be the last statement of a
// transaction. Until that ends the sandbox's volumes are locked, so that none is deleted
// before the sandbox is found to mount it.
func (s *Sandboxes) Insert(ctx context.Context, creating sandbox.Sandbox) (sandbox.Sandbox, error) {
	if err := s.holdVolumes(ctx, creating.VolumeMounts); err != nil {
		return sandbox.Sandbox{}, err
	}
	exchange := s.exchange()
	noteEvent(ctx, &exchange.then, creating.ID, sandbox.EventCreated)
	row, err := exchange.main().InsertSandbox(ctx, rows.InsertSandboxParams{
		ID: creating.ID, TeamID: creating.TeamID, HostID: creating.HostID,
		TemplateID: creating.TemplateID, Alias: creating.Alias, BuildID: creating.BuildID, ForkedFrom: creating.ForkedFrom,
		State: sandbox.Creating, Claimant: creating.Claimant,
		AutoPause: creating.Lifecycle.AutoPause, AutoPauseMemory: !creating.Lifecycle.AutoPauseWithoutMemory, AutoResume: creating.Lifecycle.AutoResume,
		AllowInternetAccess: creating.Network.AllowInternetAccess, Network: toNetwork(creating.Network),
		VolumeMounts: toMounts(creating.VolumeMounts), Metadata: toMetadata(creating.Metadata), IamTokens: creating.IdentityTokens,
		PlacementGroup: creating.PlacementGroup, VCPUCount: creating.VCPUCount, MemoryMiB: creating.MemoryMiB, DiskMiB: creating.DiskMiB,
		EnvdVersion: creating.EnvdVersion, Secure: creating.Secure, Isolation: creating.Isolation,
	})
	return one(row, err, err, "store new sandbox")
}

func (s *Sandboxes) holdVolumes(ctx context.Context, mounts []sandbox.VolumeMount) error {
	wanted := map[string]bool{}
	var ids []string
	for _, mount := range mounts {
		if !wanted[mount.VolumeID] {
			wanted[mount.VolumeID] = true
			ids = append(ids, mount.VolumeID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	held, err := s.queries.HoldVolumes(ctx, ids)
	if err != nil {
		return fmt.Errorf("hold volumes: %w", err)
	}
	if len(held) != len(ids) {
		return fault.New(fault.Conflict, "a volume was deleted meanwhile")
	}
	return nil
}

// Get returns a sandbox, also one that is over.
func (s *Sandboxes) Get(ctx context.Context, sandboxID string) (sandbox.Sandbox, error) {
	row, err := s.queries.GetSandbox(ctx, sandboxID)
	return one(row, err, ErrNotFound, "get sandbox %s", sandboxID)
}

// GetWithEpochs returns a sandbox and the epochs that its tokens are derived from.
func (s *Sandboxes) GetWithEpochs(ctx context.Context, sandboxID string) (sandbox.Sandbox, auth.Epochs, error) {
	found, err := s.queries.GetSandboxWithEpoch(ctx, sandboxID)
	if errors.Is(err, pgx.ErrNoRows) {
		return sandbox.Sandbox{}, auth.Epochs{}, ErrNotFound
	}
	if err != nil {
		return sandbox.Sandbox{}, auth.Epochs{}, fmt.Errorf("get sandbox %s: %w", sandboxID, err)
	}
	return fromRow(found.Sandbox), auth.Epochs{Team: found.TeamEpoch, Sandbox: found.Sandbox.TokenEpoch}, nil
}

// Lock returns a team's sandbox and locks its row until the transaction ends.
func (s *Sandboxes) Lock(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error) {
	row, err := s.queries.LockSandbox(ctx, rows.LockSandboxParams{ID: sandboxID, TeamID: teamID})
	return one(row, err, ErrNotFound, "get sandbox %s", sandboxID)
}
