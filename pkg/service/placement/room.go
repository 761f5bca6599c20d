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

// WhyNoRoom says why LockRoom found none.
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

// lockRoom makes sure of room on a host until the transaction ends.
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
