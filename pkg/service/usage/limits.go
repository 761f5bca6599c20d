package usage

import (
	"context"
	"math"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Limits are what a team may have; nil is without limit.
type Limits struct {
	// MaxSandboxes bounds the sandboxes that run at once; the next three what all of them
	// have together.
	MaxSandboxes, MaxVCPUs, MaxMemoryMiB, MaxDiskMiB *int64
	// MaxSandboxVCPUs and the next two bound what each sandbox and template has.
	MaxSandboxVCPUs, MaxSandboxMemoryMiB, MaxSandboxDiskMiB *int64
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

// CheckEach returns Invalid for a sandbox or template that is larger than each of a team's
// may be. It names the limit.
func (l Limits) CheckEach(each scheduler.Resources) error {
	return firstExceeded([]sizeBound{
		{"cpuCount", each.VCPUs, "maxSandboxVcpus", l.MaxSandboxVCPUs},
		{"memoryMB", each.MemoryMiB, "maxSandboxMemoryMiB", l.MaxSandboxMemoryMiB},
		{"diskSizeMB", each.DiskMiB, "maxSandboxDiskMiB", l.MaxSandboxDiskMiB},
	})
}

// CheckAlone is CheckEach that also refuses what is larger than all sandboxes of the team
// may be together.
func (l Limits) CheckAlone(each scheduler.Resources) error {
	if err := l.CheckEach(each); err != nil {
		return err
	}
	return firstExceeded([]sizeBound{
		{"cpuCount", each.VCPUs, "maxVcpus", l.MaxVCPUs},
		{"memoryMB", each.MemoryMiB, "maxMemoryMiB", l.MaxMemoryMiB},
		{"diskSizeMB", each.DiskMiB, "maxDiskMiB", l.MaxDiskMiB},
	})
}

// sizeBound is a part of a size and the limit that bounds it.
type sizeBound struct {
	field string
	wants int64
	limit string
	most  *int64
}

func firstExceeded(bounds []sizeBound) error {
	for _, bound := range bounds {
		if bound.most != nil && bound.wants > *bound.most {
			return fault.New(fault.Invalid, "%s %d is more than the %d that the team may have (its limit %s): "+
				"ask for less, or have an administrator of this server raise the limit",
				bound.field, bound.wants, *bound.most, bound.limit).Because(fault.TeamLimit)
		}
	}
	return nil
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
		{"maxSandboxVcpus", limits.MaxSandboxVCPUs, math.MaxInt64},
		{"maxSandboxMemoryMiB", limits.MaxSandboxMemoryMiB, math.MaxInt64},
		{"maxSandboxDiskMiB", limits.MaxSandboxDiskMiB, math.MaxInt64},
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
