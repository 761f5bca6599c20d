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
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
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

// suits reports whether a host is as a request wants it, but for its room.
func suits(ctx context.Context, conn db.Conn, hostID uuid.UUID, request scheduler.Request) (bool, error) {
	params := rows.HostSuitsParams{HostID: hostID, Tags: append([]string{}, request.Tags...)}
	if request.Build != uuid.Nil {
		params.BuildID = &request.Build
	}
	driver, err := rows.New(conn).HostSuits(ctx, params)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for tags and a build on host %s: %w", hostID, err)
	}
	return sandbox.IsolationOf(driver).Satisfies(request.Isolation), nil
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
			ID: row.ID, Tags: row.Tags, Isolation: sandbox.IsolationOf(row.Driver), Builds: row.Builds, Groups: groups[row.ID],
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

func hostIsolation(ctx context.Context, conn db.Conn, hostID uuid.UUID) (sandbox.Isolation, error) {
	host, err := rows.New(conn).GetHost(ctx, hostID)
	if err != nil {
		return "", fmt.Errorf("look for the isolation of host %s: %w", hostID, err)
	}
	return sandbox.IsolationOf(host.Driver), nil
}

// teamIsolation returns what a team demands.
func teamIsolation(ctx context.Context, conn db.Conn, teamID uuid.UUID) (sandbox.Isolation, error) {
	demand, err := rows.New(conn).GetTeamIsolation(ctx, teamID)
	if err != nil {
		return "", fmt.Errorf("look for the isolation that team %s demands: %w", teamID, err)
	}
	return demand, nil
}

// candidates returns every host that is not retired and has been reached.
func candidates(ctx context.Context, conn db.Conn, build uuid.UUID) ([]candidate, error) {
	var buildID *uuid.UUID
	if build != uuid.Nil {
		buildID = &build
	}
	found, err := rows.New(conn).ListBuildOnHosts(ctx, buildID)
	if err != nil {
		return nil, fmt.Errorf("list the hosts of build %s: %w", build, err)
	}
	all := make([]candidate, 0, len(found))
	for _, row := range found {
		all = append(all, candidate{
			id: row.ID, is: sandbox.Maker{Driver: row.Driver, Accelerator: row.Accelerator}, has: row.Has,
			madeBy: sandbox.Maker{Driver: row.MadeByDriver, Accelerator: row.MadeByAccelerator},
		})
	}
	return all, nil
}
