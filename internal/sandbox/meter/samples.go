package meter

import (
	"slices"
	"sync"
	"time"
)

// Sample is a sandbox at one moment. Its counters are sums over all the sandbox's VMs.
type Sample struct {
	At time.Time
	// CPUUsedPercent, from 0 to 100, is of the sandbox's own virtual CPUs since the
	// sample before.
	CPUUsedPercent float64
	Counters       Counters
	// MemoryBytes is the host memory that the VM uses, MemoryPeakBytes the most since
	// its start.
	MemoryBytes        uint64
	MemoryPeakBytes    uint64
	DiskAllocatedBytes uint64
	// Guest is the guest's last report; its time is zero before the first.
	Guest GuestSample
}

// GuestSample is what a guest reports of itself. It can be untrue, within the limits of
// the sandbox.
type GuestSample struct {
	At               time.Time
	MemoryUsedBytes  uint64
	MemoryTotalBytes uint64
	MemoryCacheBytes uint64
	DiskUsedBytes    uint64
	DiskTotalBytes   uint64
}

// Bounded limits a report to the memory and disk that the guest was given.
func (g GuestSample) Bounded(memoryMiB, diskMiB int) GuestSample {
	g.MemoryTotalBytes = min(g.MemoryTotalBytes, uint64(memoryMiB)<<20)
	g.DiskTotalBytes = min(g.DiskTotalBytes, uint64(diskMiB)<<20)
	g.MemoryUsedBytes = min(g.MemoryUsedBytes, g.MemoryTotalBytes)
	g.MemoryCacheBytes = min(g.MemoryCacheBytes, g.MemoryTotalBytes)
	g.DiskUsedBytes = min(g.DiskUsedBytes, g.DiskTotalBytes)
	return g
}

// History keeps the last samples of a sandbox, also through pauses. The zero value is
// empty.
type History struct {
	mutex   sync.Mutex
	samples []Sample // a ring once it is full
	next    int      // the oldest sample's index in a full ring
	guest   GuestSample
}

// historyLength is five minutes of samples: a control plane that collects them can be
// away for that long.
const historyLength = 300

func (h *History) add(sample Sample) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	sample.Guest = h.guest
	if len(h.samples) < historyLength {
		h.samples = append(h.samples, sample)
		return
	}
	h.samples[h.next] = sample
	h.next = (h.next + 1) % historyLength
}

// SetGuest puts a guest's report into the samples that follow.
func (h *History) SetGuest(report GuestSample) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.guest = report
}

// After copies the samples that are younger than since, in the order of time; with
// latestOnly at most the last of them.
func (h *History) After(since time.Time, latestOnly bool) []Sample {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	ordered := slices.Concat(h.samples[h.next:], h.samples[:h.next])
	if latestOnly && len(ordered) > 1 {
		ordered = ordered[len(ordered)-1:]
	}
	first, _ := slices.BinarySearchFunc(ordered, since, func(sample Sample, at time.Time) int {
		if sample.At.After(at) {
			return 1
		}
		return -1
	})
	return ordered[first:]
}

// WrittenSince is how many bytes the sandbox's VM has written to the host's disks.
func (h *History) WrittenSince(at time.Time) uint64 {
	samples := h.After(at, false)
	if len(samples) == 0 {
		return 0
	}
	return samples[len(samples)-1].Counters.DiskWrittenBytes - samples[0].Counters.DiskWrittenBytes
}
