// Package meter measures what sandboxes use of the host, from what the kernel counts for
// their VMs: totals for each sandbox, and samples each second.
package meter

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
)

// Start is when a VM began to run as this sandbox, and the kernel's counters then. What
// was used before, to start the VM, is not the sandbox's usage.
type Start struct {
	At       time.Time `json:"at"`
	Counters Counters  `json:"counters"`
}

// VM is what is measured.
type VM struct {
	// Group is nil where there are no control groups.
	Group     *cgroup.Group
	ProcessID int
	// Link is the host's end of the guest's network.
	Link      string
	DiskPath  string
	VCPUCount int
}

// Meter measures one VM of a sandbox, from its start to its end. Its methods may be
// called concurrently.
type Meter struct {
	vm      VM
	process processFiles
	start   Start
	before  Usage // of the sandbox's earlier VMs

	mutex   sync.Mutex
	last    Counters // as the kernel gave them
	lastAt  time.Time
	highest uint64 // bytes of memory
}

// New starts to measure a VM that has just become the sandbox's. before is the usage of
// the sandbox's earlier VMs.
func New(vm VM, before Usage) *Meter {
	k := newMeter(vm, before)
	reading := newReader().read(k)
	k.start = Start{At: time.Now().UTC(), Counters: reading.counters}
	k.last, k.lastAt = reading.counters, k.start.At
	return k
}

// Adopt continues to measure a VM since its start, also for the time in which no host
// agent ran: the kernel counted then too.
func Adopt(vm VM, before Usage, start Start) *Meter {
	k := newMeter(vm, before)
	k.start = start
	k.last, k.lastAt = start.Counters, start.At
	k.Measure() // so that no total is less than one that was reported before
	return k
}

func newMeter(vm VM, before Usage) *Meter {
	return &Meter{vm: vm, process: filesOf(vm.ProcessID), before: before}
}

// Start is when this VM began to run as this sandbox.
func (k *Meter) Start() Start { return k.start }

// Measure reads the counters and returns the sandbox's total.
func (k *Meter) Measure() Usage {
	now := time.Now()
	reading := newReader().read(k)
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.last, k.lastAt = reading.counters.atLeast(k.last), now
	return k.total()
}

// Usage is the sandbox's total at the last reading.
func (k *Meter) Usage() Usage {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.total()
}

// total is called with the mutex held.
func (k *Meter) total() Usage {
	return Usage{
		Running:  k.before.Running + max(0, k.lastAt.Sub(k.start.At)),
		Counters: k.before.Counters.plus(k.last.since(k.start.Counters)),
	}
}

// sample makes a sample from a reading and the one before it.
func (k *Meter) sample(r reading, at time.Time) Sample {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	counters := r.counters.atLeast(k.last)
	took, elapsed := counters.CPU-k.last.CPU, at.Sub(k.lastAt)
	k.last, k.lastAt = counters, at
	k.highest = max(k.highest, r.memoryPeakBytes, r.memoryBytes)
	const percent = 100
	var used float64
	if elapsed > 0 {
		used = min(percent, percent*took.Seconds()/elapsed.Seconds()/float64(max(1, k.vm.VCPUCount)))
	}
	return Sample{
		At: at, CPUUsedPercent: used, Counters: k.total().Counters,
		MemoryBytes: r.memoryBytes, MemoryPeakBytes: k.highest, DiskAllocatedBytes: r.diskBytes,
	}
}

// allocated is how many bytes of a disk a file takes.
func allocated(path string) uint64 {
	const blockSize = 512 // for every file system; stat(2)
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0
	}
	return uint64(stat.Blocks) * blockSize
}
