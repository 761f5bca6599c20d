package host

import (
	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// Load is how busy a host is.
type Load struct {
	// AllocatedCPUs and AllocatedMemoryBytes are what the sandboxes that run or
	// start were promised, which can be more than the host has.
	AllocatedCPUs        int32
	AllocatedMemoryBytes int64
	MemoryAvailableBytes int64
	DiskAvailableBytes   int64
	// CPUUsedPercent is of all CPUs of the host, over the last second.
	CPUUsedPercent float64
	// MemoryPressurePercent is how much of the last ten seconds something on the
	// host waited for memory.
	MemoryPressurePercent float64
	// Sandboxes counts them by state; ReadyCount are guests held ready for more.
	Sandboxes  map[lifecycle.State]int
	ReadyCount int
	// CreatesSucceeded and CreatesFailed count since the agent started.
	CreatesSucceeded int64
	CreatesFailed    int64
}

func fromLoad(m *pb.GetInfoResponse) Load {
	load := Load{
		AllocatedCPUs: int32(m.AllocatedCpus), AllocatedMemoryBytes: int64(m.AllocatedMemoryBytes),
		MemoryAvailableBytes: int64(m.MemoryAvailableBytes), DiskAvailableBytes: int64(m.DiskAvailableBytes),
		CPUUsedPercent: m.CpuUsedPercent, MemoryPressurePercent: m.MemoryPressurePercent,
		Sandboxes: make(map[lifecycle.State]int), ReadyCount: int(m.ReadyCount),
		CreatesSucceeded: int64(m.CreatesSucceeded), CreatesFailed: int64(m.CreatesFailed),
	}
	for _, counted := range m.SandboxCounts {
		load.Sandboxes[states[counted.State]] += int(counted.Count)
	}
	return load
}
