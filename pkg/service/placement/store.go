package placement

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// WhyNoRoom returns why LockRoom found none.
func WhyNoRoom(ctx context.Context, conn db.Conn, hostID uuid.UUID) error {
	queries := rows.New(conn)
	host, err := queries.GetHost(ctx, hostID)
	switch {
	case err != nil:
		return fmt.Errorf("get host %s: %w", hostID, err)
	case host.State == lifecycle.HostReady:
		return fault.New(fault.Exhausted, "the sandbox's host has no room for it at the moment").Because(fault.NoCapacity)
	default:
		return fault.New(fault.Unavailable, "the sandbox's host is %s", host.State)
	}
}

// LockRoom makes sure of room on a host until the transaction ends.
func LockRoom(ctx context.Context, conn db.Conn, hostID uuid.UUID, needs scheduler.Resources) error {
	queries := rows.New(conn)
	_, err := queries.LockHostRoom(ctx, rows.LockHostRoomParams{
		HostID: hostID, VCPUCount: needs.VCPUs, MemoryMiB: needs.MemoryMiB, DiskMiB: needs.DiskMiB,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return scheduler.ErrTaken
	}
	if err != nil {
		return fmt.Errorf("look for room on host %s: %w", hostID, err)
	}
	return nil
}

// suits reports whether a host has all of the tags, and the build unless that is the zero
// UUID.
func suits(ctx context.Context, conn db.Conn, hostID uuid.UUID, tags []string, build uuid.UUID) (bool, error) {
	params := rows.HostSuitsParams{HostID: hostID, Tags: append([]string{}, tags...)}
	if build != uuid.Nil {
		params.BuildID = &build
	}
	found, err := rows.New(conn).HostSuits(ctx, params)
	if err != nil {
		return false, fmt.Errorf("look for tags and a build on host %s: %w", hostID, err)
	}
	return found, nil
}

// schedulable returns what a scheduler has to know of every host that is ready.
func schedulable(ctx context.Context, conn db.Conn) ([]scheduler.Host, error) {
	queries := rows.New(conn)
	found, err := queries.ListSchedulable(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	members, err := queries.ListPlacementGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list placement groups: %w", err)
	}
	groups := map[uuid.UUID]map[string]int{}
	for _, row := range members {
		if groups[row.HostID] == nil {
			groups[row.HostID] = map[string]int{}
		}
		groups[row.HostID][row.PlacementGroup] = int(row.Members)
	}
	hosts := make([]scheduler.Host, 0, len(found))
	for _, row := range found {
		hosts = append(hosts, scheduler.Host{
			ID: row.ID, Tags: row.Tags, Builds: row.Builds, Groups: groups[row.ID],
			Capacity:  scheduler.Resources{VCPUs: row.VCPUCapacity, MemoryMiB: row.MemoryMiBCapacity, DiskMiB: row.DiskMiBCapacity},
			Allocated: scheduler.Resources{VCPUs: row.VCPUAllocated, MemoryMiB: row.MemoryMiBAllocated, DiskMiB: row.DiskMiBAllocated},
		})
	}
	return hosts, nil
}

func countFailure(ctx context.Context, conn db.Conn, hostID uuid.UUID) error {
	if err := rows.New(conn).CountHostCreateFailure(ctx, hostID); err != nil {
		return fmt.Errorf("count a failed create of host %s: %w", hostID, err)
	}
	return nil
}
