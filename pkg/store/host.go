package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Standing is what Reconcile needs of a stored sandbox.
type Standing struct {
	ID      string
	State   sandbox.State
	Version int64
	// Abandoned is set where no control plane works on a sandbox that is not settled.
	Abandoned bool
}

// OnHost returns all sandboxes of a host that are not over. asking is a claimant that
// is alive.
func (s *Sandboxes) OnHost(ctx context.Context, hostID uuid.UUID, asking int32) ([]Standing, error) {
	found, err := s.queries.ListOnHost(ctx, rows.ListOnHostParams{HostID: hostID, Asking: asking})
	if err != nil {
		return nil, fmt.Errorf("list the sandboxes of host %s: %w", hostID, err)
	}
	standings := make([]Standing, len(found))
	for i, row := range found {
		standings[i] = Standing(row)
	}
	return standings, nil
}

// CountOnHost counts the sandboxes of a host that are not over.
func (s *Sandboxes) CountOnHost(ctx context.Context, hostID uuid.UUID) (int64, error) {
	count, err := s.queries.CountOnHost(ctx, hostID)
	if err != nil {
		return 0, fmt.Errorf("count the sandboxes of host %s: %w", hostID, err)
	}
	return count, nil
}

// HasGroup reports whether a sandbox of a group takes room on a host.
func (s *Sandboxes) HasGroup(ctx context.Context, hostID uuid.UUID, group string) (bool, error) {
	has, err := s.queries.HostHasGroup(ctx, rows.HostHasGroupParams{HostID: hostID, PlacementGroup: group})
	if err != nil {
		return false, fmt.Errorf("look for group %q on host %s: %w", group, hostID, err)
	}
	return has, nil
}

// ClaimRunning claims up to most running sandboxes of a host, to pause them.
func (s *Sandboxes) ClaimRunning(ctx context.Context, hostID uuid.UUID, claimant int32, most int) ([]sandbox.Sandbox, error) {
	claimed, err := s.queries.ClaimRunning(ctx, rows.ClaimRunningParams{HostID: hostID, Claimant: claimant, Batch: int32(most)})
	if err != nil {
		return nil, fmt.Errorf("claim what runs on host %s: %w", hostID, err)
	}
	return fromRows(claimed), nil
}

// UsingSecret returns a team's sandboxes that run and refer to a secret.
func (s *Sandboxes) UsingSecret(ctx context.Context, teamID uuid.UUID, name string) ([]sandbox.Sandbox, error) {
	found, err := s.queries.ListSecretUsers(ctx, rows.ListSecretUsersParams{TeamID: teamID, Name: name})
	if err != nil {
		return nil, fmt.Errorf("list what uses a secret: %w", err)
	}
	return fromRows(found), nil
}

// SecretRevisions returns which secrets each running sandbox of a host should hold, by
// the sandbox's ID.
func (s *Sandboxes) SecretRevisions(ctx context.Context, hostID uuid.UUID) (map[string]string, error) {
	found, err := s.queries.ListSecretRevisions(ctx, hostID)
	if err != nil {
		return nil, fmt.Errorf("list which secrets should be on host %s: %w", hostID, err)
	}
	revisions := make(map[string]string, len(found))
	for _, row := range found {
		revisions[row.ID] = row.Revision
	}
	return revisions, nil
}
