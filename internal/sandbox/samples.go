package sandbox

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Sample is a sandbox at one moment. Its counters are the sandbox's, of all its
// VMs.
type Sample struct {
	At time.Time
	// CPUUsedPercent, from 0 to 100, is of the sandbox's own virtual CPUs since
	// the sample before.
	CPUUsedPercent float64
	Counters       Counters
	// MemoryBytes is the host's that the VM takes, MemoryPeakBytes the most since
	// it was started.
	MemoryBytes        uint64
	MemoryPeakBytes    uint64
	DiskAllocatedBytes uint64
	// Guest is what the guest said of itself last; its time is zero before it did.
	Guest GuestSample
}

// Sampled is what one sandbox took, moment by moment and in total.
type Sampled struct {
	Info    Info
	Samples []Sample // in the order of time
}

// history keeps the last samples of a sandbox, through pauses.
type history struct {
	mutex   sync.Mutex
	samples []Sample // a ring once it is full
	next    int      // where the oldest is then
	guest   GuestSample
}

// historyLength is five minutes of samples: who gathers them may be away a while.
const historyLength = 300

func (h *history) add(sample Sample) {
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

func (h *history) setGuest(said GuestSample) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.guest = said
}

// after copies the samples that are younger than since, at most the last of them
// where only that is wanted.
func (h *history) after(since time.Time, latestOnly bool) []Sample {
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

// Samples tells what sandboxes took, those without samples included; no IDs mean
// all of them, and IDs that nobody has are left out.
func (m *Manager) Samples(ids []string, since time.Time, latestOnly bool) []Sampled {
	var all []Sampled
	for _, s := range m.all() {
		if len(ids) == 0 || slices.Contains(ids, s.id) {
			all = append(all, Sampled{Info: s.info(), Samples: s.history.after(since, latestOnly)})
		}
	}
	slices.SortFunc(all, func(a, b Sampled) int { return strings.Compare(a.Info.ID, b.Info.ID) })
	return all
}
