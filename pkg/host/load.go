package host

import (
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Load is how busy a host is.
type Load struct {
	// AllocatedCPUs and AllocatedMemoryBytes are promised to the sandboxes that run or
	// start. They can be more than the host has.
	AllocatedCPUs        int32
	AllocatedMemoryBytes int64
	MemoryAvailableBytes int64
	DiskAvailableBytes   int64
	// CPUUsedPercent is of all CPUs of the host, over the last second.
	CPUUsedPercent float64
	// MemoryPressurePercent is the share of the last ten seconds in which a process of the
	// host waited for memory.
	MemoryPressurePercent float64
	// Sandboxes counts sandboxes by state, and ReadyCount warm guests.
	Sandboxes  map[sandbox.State]int
	ReadyCount int
	// CreatesSucceeded and CreatesFailed count since the agent started.
	CreatesSucceeded int64
	CreatesFailed    int64
}
