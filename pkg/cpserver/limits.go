package cpserver

import (
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
)

// limitsOf are the configured limits of new teams as the database has them.
func limitsOf(limits config.TeamLimits) *rows.TeamLimit {
	return &rows.TeamLimit{
		MaxSandboxes: narrowed(limits.Sandboxes), MaxVCPUCount: limits.VCPUs, MaxMemoryMiB: limits.MemoryMiB,
		MaxDiskMiB: limits.DiskMiB, MaxBuilds: narrowed(limits.Builds), MaxCreatesPerMinute: narrowed(limits.CreatesPerMinute),
		MaxVolumes: narrowed(limits.Volumes), MaxVolumeMiB: limits.VolumeMiB, MaxSecrets: narrowed(limits.Secrets),
	}
}

// narrowed is for limits that the configuration keeps within 32 bits.
func narrowed(limit *int64) *int32 {
	if limit == nil {
		return nil
	}
	narrow := int32(*limit)
	return &narrow
}

func orZero(limit *int64) int64 {
	if limit == nil {
		return 0
	}
	return *limit
}
