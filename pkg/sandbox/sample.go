package sandbox

import "time"

// Sample is what a sandbox took at one moment.
type Sample struct {
	SandboxID string
	At        time.Time
	CPUCount  int32
	// CPUUsedPercent, from 0 to 100, is of the sandbox's own CPUs.
	CPUUsedPercent   float32
	MemoryUsedBytes  int64
	MemoryTotalBytes int64
	MemoryCacheBytes int64
	DiskUsedBytes    int64
	DiskTotalBytes   int64
}
