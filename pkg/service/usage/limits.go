package usage

import (
	"context"
	"math"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Limits are what a team may have; nil is without limit.
type Limits struct {
	// MaxSandboxes bounds the sandboxes that run at once; the next three what all of them
	// have together.
	MaxSandboxes, MaxVCPUs, MaxMemoryMiB, MaxDiskMiB *int64
	// MaxBuilds bounds the builds of templates at once.
	MaxBuilds           *int64
	MaxCreatesPerMinute *int64
	MaxVolumes          *int64
	// MaxVolumeMiB bounds the size of each volume.
	MaxVolumeMiB *int64
	MaxSecrets   *int64
	// MaxSnapshots bounds the snapshots, each of those that share a name.
	MaxSnapshots *int64
}

// Limits returns what a team may have.
func (u *Service) Limits(ctx context.Context, teamID uuid.UUID) (Limits, error) {
	return newStore(u.pool).limits(ctx, teamID)
}

// LimitsOf is Limits within a transaction.
func LimitsOf(ctx context.Context, conn db.Conn, teamID uuid.UUID) (Limits, error) {
	return newStore(conn).limits(ctx, teamID)
}

// SetLimits replaces what a team may have. What it has already it keeps.
func (u *Service) SetLimits(ctx context.Context, teamID uuid.UUID, limits Limits) error {
	for _, limit := range []struct {
		name  string
		value *int64
		most  int64
	}{
		{"maxSandboxes", limits.MaxSandboxes, math.MaxInt32},
		{"maxVcpus", limits.MaxVCPUs, math.MaxInt64},
		{"maxMemoryMiB", limits.MaxMemoryMiB, math.MaxInt64},
		{"maxDiskMiB", limits.MaxDiskMiB, math.MaxInt64},
		{"maxBuilds", limits.MaxBuilds, math.MaxInt32},
		{"maxCreatesPerMinute", limits.MaxCreatesPerMinute, math.MaxInt32},
		{"maxVolumes", limits.MaxVolumes, math.MaxInt32},
		{"maxVolumeMiB", limits.MaxVolumeMiB, math.MaxInt64},
		{"maxSecrets", limits.MaxSecrets, math.MaxInt32},
		{"maxSnapshots", limits.MaxSnapshots, math.MaxInt32},
	} {
		switch {
		case limit.value == nil:
		case *limit.value < 0:
			return fault.New(fault.Invalid, "%s must not be negative", limit.name)
		case *limit.value > limit.most:
			return fault.New(fault.Invalid, "%s must be at most %d", limit.name, limit.most)
		}
	}
	if err := RequireTeam(ctx, u.pool, teamID); err != nil {
		return err
	}
	return newStore(u.pool).setLimits(ctx, teamID, limits)
}
