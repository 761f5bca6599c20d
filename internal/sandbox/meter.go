package sandbox

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
)

// meterStart is where a VM's life as this sandbox begins. What its start cost is
// nobody's: a guest that was held ready had paid it before.
type meterStart struct {
	At       time.Time `json:"at"`
	Counters Counters  `json:"counters"`
}

// meter measures one VM of a sandbox, from its start to its end.
type meter struct {
	group     *cgroup.Group
	process   processFiles
	link      string // the host's end of the guest's network
	diskPath  string
	vcpuCount int
	start     meterStart
	before    Usage // of the sandbox's earlier VMs

	mutex   sync.Mutex
	last    Counters // raw
	lastAt  time.Time
	highest uint64 // bytes of memory
}

// startMeter begins to count for a sandbox whose guest has just become it. A
// meter that runs goes on.
func (m *Manager) startMeter(s *sandbox) {
	s.mutex.Lock()
	running := s.meter != nil
	s.mutex.Unlock()
	if running {
		return
	}
	started := s.newMeter()
	reading := newReader().read(started)
	started.start = meterStart{At: time.Now().UTC(), Counters: reading.counters}
	started.last, started.lastAt = reading.counters, started.start.At
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.meter = started
}

// adoptMeter goes on counting where an earlier agent's record says it began: the
// kernel counted meanwhile.
func (s *sandbox) adoptMeter() {
	adopted := s.newMeter()
	adopted.start = s.record.Meter
	if adopted.start.At.IsZero() { // as an agent wrote it that did not count
		adopted.start.At = s.record.StartedAt
	}
	adopted.last, adopted.lastAt = adopted.start.Counters, adopted.start.At
	adopted.measure() // so that no total is less than what was told before
	s.meter = adopted
}

// newMeter is called by who owns the guest.
func (s *sandbox) newMeter() *meter {
	return &meter{
		group: s.guest.group, process: filesOf(s.guest.machine.Process().ID), link: s.guest.slot.Device(),
		diskPath: s.diskPath(), vcpuCount: s.record.VCPUCount, before: s.record.Usage,
	}
}

// endMeter takes the last reading of a VM that is about to be stopped, or has
// died, into the sandbox's total.
func (s *sandbox) endMeter() {
	s.mutex.Lock()
	ending := s.meter
	s.mutex.Unlock()
	if ending == nil {
		return
	}
	total := ending.measure()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.record.Usage, s.meter = total, nil
}

// measure is the sandbox's total up to now, read anew.
func (k *meter) measure() Usage {
	now := time.Now()
	reading := newReader().read(k)
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.last, k.lastAt = reading.counters.atLeast(k.last), now
	return k.total()
}

// usage is the sandbox's total as of the last reading.
func (k *meter) usage() Usage {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.total()
}

// total is called with the mutex held.
func (k *meter) total() Usage {
	return Usage{
		Running:  k.before.Running + max(0, k.lastAt.Sub(k.start.At)),
		Counters: k.before.Counters.plus(k.last.since(k.start.Counters)),
	}
}

// sample makes a sample of a reading and of what was read before it.
func (k *meter) sample(r reading, at time.Time) Sample {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	counters := r.counters.atLeast(k.last)
	took, elapsed := counters.CPU-k.last.CPU, at.Sub(k.lastAt)
	k.last, k.lastAt = counters, at
	k.highest = max(k.highest, r.memoryPeakBytes, r.memoryBytes)
	const percent = 100
	var used float64
	if elapsed > 0 {
		used = min(percent, percent*took.Seconds()/elapsed.Seconds()/float64(max(1, k.vcpuCount)))
	}
	return Sample{
		At: at, CPUUsedPercent: used, Counters: k.total().Counters,
		MemoryBytes: r.memoryBytes, MemoryPeakBytes: k.highest, DiskAllocatedBytes: r.diskBytes,
	}
}

// allocated is how many bytes of a disk a file takes.
func allocated(path string) uint64 {
	const blockSize = 512 // whatever the file system's is; stat(2)
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0
	}
	return uint64(stat.Blocks) * blockSize
}
