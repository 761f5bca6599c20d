package templates

import (
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Size is what a sandbox of a build has.
type Size struct{ VCPUCount, MemoryMiB, DiskMiB int32 }

// Bounds of sizes, whatever a team may have.
const (
	mostVCPUs      = 64
	leastMemoryMiB = 128
	mostMemoryMiB  = 512 << 10
	mostDiskMiB    = 1 << 20
)

// Validate checks a size by the names that its parts have in requests.
func (s Size) Validate() error {
	switch {
	case s.VCPUCount < 1 || s.VCPUCount > mostVCPUs:
		return fault.New(fault.Invalid, "cpuCount must be from 1 to %d", mostVCPUs)
	case s.MemoryMiB < leastMemoryMiB || s.MemoryMiB > mostMemoryMiB:
		return fault.New(fault.Invalid, "memoryMB must be from %d to %d", leastMemoryMiB, mostMemoryMiB)
	case s.DiskMiB < 1 || s.DiskMiB > mostDiskMiB:
		return fault.New(fault.Invalid, "diskSizeMB must be from 1 to %d", mostDiskMiB)
	}
	return nil
}

// Needs are the resources of one sandbox.
func (s Size) Needs() scheduler.Resources {
	return scheduler.Resources{VCPUs: int64(s.VCPUCount), MemoryMiB: int64(s.MemoryMiB), DiskMiB: int64(s.DiskMiB)}
}
