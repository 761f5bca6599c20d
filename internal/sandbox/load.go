package sandbox

import (
	"sync/atomic"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// Load is how busy the host is.
type Load struct {
	admission.Load
	// CPUUsedPercent is of all CPUs of the host, over the last second.
	CPUUsedPercent float64
	// Sandboxes counts them by state.
	Sandboxes map[state.State]int
	// ReadyGuests are held ready for sandboxes that are created next.
	ReadyGuests int
	// CreatesSucceeded and CreatesFailed count since the agent started.
	CreatesSucceeded uint64
	CreatesFailed    uint64
}

// creates counts the results of requests to create a sandbox.
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
	measured, err := m.admission.Load()
	if err != nil {
		return Load{}, err
	}
	load := Load{
		Load: measured, CPUUsedPercent: m.sampler.HostCPUUsedPercent(),
		Sandboxes: make(map[state.State]int), ReadyGuests: m.warm.Count(),
		CreatesSucceeded: m.creates.succeeded.Load(), CreatesFailed: m.creates.failed.Load(),
	}
	for _, info := range m.host.list() {
		load.Sandboxes[info.State]++
	}
	return load, nil
}

// promised is what running sandboxes were promised, and the disks of all. Sandboxes that
// start have reservations.
func (h *host) promised() admission.Size {
	var sum admission.Size
	for _, info := range h.list() {
		switch info.State {
		case state.Running, state.Pausing, state.Snapshotting, state.Updating:
			sum = sum.Plus(info.size())
			sum.DiskMiB += info.DiskMiB
		case state.Paused, state.Resuming, state.Failed:
			sum.DiskMiB += info.DiskMiB
		default:
		}
	}
	return sum
}
