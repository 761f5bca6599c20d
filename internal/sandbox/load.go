package sandbox

import "sync/atomic"

// Load is how busy the host is.
type Load struct {
	// PromisedCPUs and PromisedMemoryBytes are what the sandboxes were promised
	// that run or start.
	PromisedCPUs        int
	PromisedMemoryBytes uint64
	// MemoryAvailableBytes is free or can be freed, for all that is known of
	// limits around the agent.
	MemoryAvailableBytes uint64
	// CPUUsedPercent is of all CPUs of the host, over the last second.
	CPUUsedPercent float64
	// MemoryPressurePercent is how much of the last ten seconds something waited
	// for memory.
	MemoryPressurePercent float64
	// Sandboxes counts them by state.
	Sandboxes map[State]int
	// CreatesSucceeded and CreatesFailed count since the agent started.
	CreatesSucceeded uint64
	CreatesFailed    uint64
}

// creates counts what became of requests to create a sandbox.
type creates struct {
	succeeded, failed atomic.Uint64
}

func (c *creates) count(err error) {
	if err != nil {
		c.failed.Add(1)
	} else {
		c.succeeded.Add(1)
	}
}

// Load measures how busy the host is.
func (m *Manager) Load() (Load, error) {
	have, err := m.measureRoom()
	if err != nil {
		return Load{}, err
	}
	promised := m.promised().plus(m.starts.sum())
	load := Load{
		PromisedCPUs: promised.vcpuCount, PromisedMemoryBytes: uint64(promised.memoryMiB) << 20,
		MemoryAvailableBytes: uint64(have.memoryMiB) << 20,
		CPUUsedPercent:       m.sampler.cpuUsedPercent(), MemoryPressurePercent: have.pressurePercent,
		Sandboxes:        make(map[State]int),
		CreatesSucceeded: m.creates.succeeded.Load(), CreatesFailed: m.creates.failed.Load(),
	}
	for _, info := range m.List() {
		load.Sandboxes[info.State]++
	}
	return load, nil
}
