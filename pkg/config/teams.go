package config

import "strconv"

// TeamLimits are what a new team may have; nil is without limit. An admin changes
// them for each team. The default team, which is the operator's own, has none.
type TeamLimits struct {
	Sandboxes        *int64
	VCPUs            *int64
	MemoryMiB        *int64
	DiskMiB          *int64
	Builds           *int64
	CreatesPerMinute *int64
	Volumes          *int64
	VolumeMiB        *int64
	Secrets          *int64
}

// defaultVolumeMiB is how much a volume holds whose maker named no size.
const defaultVolumeMiB = 10 << 10

func (r *reader) teamLimits() TeamLimits {
	return TeamLimits{
		Sandboxes:        r.limit("WRENN_TEAM_MAX_SANDBOXES", 20),
		VCPUs:            r.limit("WRENN_TEAM_MAX_VCPUS", 40),
		MemoryMiB:        r.limit("WRENN_TEAM_MAX_MEMORY_MIB", 40<<10),
		DiskMiB:          r.limit("WRENN_TEAM_MAX_DISK_MIB", 400<<10),
		Builds:           r.limit("WRENN_TEAM_MAX_BUILDS", 4),
		CreatesPerMinute: r.limit("WRENN_TEAM_MAX_CREATES_PER_MINUTE", 120),
		Volumes:          r.limit("WRENN_TEAM_MAX_VOLUMES", 20),
		VolumeMiB:        r.limit("WRENN_TEAM_MAX_VOLUME_MIB", 100<<10),
		Secrets:          r.limit("WRENN_TEAM_MAX_SECRETS", 100),
	}
}

// largestLimit fits into every column that holds one.
const largestLimit = 1<<31 - 1

// limit takes a number, or "none".
func (r *reader) limit(name string, byDefault int64) *int64 {
	text := r.text(name, strconv.FormatInt(byDefault, 10))
	if text == "none" {
		return nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 || value > largestLimit {
		r.fail(name, "must be a number from 0 to %d, or none", largestLimit)
	}
	return &value
}
