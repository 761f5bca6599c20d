// Package admission refuses sandboxes that a host has no room for, so that those that
// run need not be ended later.
package admission

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Bounds is how much a host admits. A bound of zero does not bound.
type Bounds struct {
	// CPURatio and MemoryRatio are how many times the host's CPUs and memory may be
	// promised to running sandboxes, DiskRatio how many times the disk to all.
	CPURatio    float64
	MemoryRatio float64
	DiskRatio   float64
	// MemoryReserveBytes and DiskReserveBytes always stay free.
	MemoryReserveBytes uint64
	DiskReserveBytes   uint64
	// PressurePercent is how much of ten seconds something may have waited for memory
	// while little of it is free.
	PressurePercent float64
	// Directories are on the disks that sandboxes need room on.
	Directories []string
}

// Size is what a sandbox is promised.
type Size struct {
	VCPUCount int
	MemoryMiB int
	DiskMiB   int // zero for a sandbox that has its disk already
}

// Plus is the sum of two sizes.
func (s Size) Plus(more Size) Size {
	return Size{s.VCPUCount + more.VCPUCount, s.MemoryMiB + more.MemoryMiB, s.DiskMiB + more.DiskMiB}
}

// String is the size for people.
func (s Size) String() string {
	cpus := "vCPUs"
	if s.VCPUCount == 1 {
		cpus = "vCPU"
	}
	return fmt.Sprintf("%d %s, %d MiB of memory and %d MiB of disk", s.VCPUCount, cpus, s.MemoryMiB, s.DiskMiB)
}

// SizeOf is the size of a sandbox that is created from a snapshot.
func SizeOf(base *snapshot.Snapshot) Size { return Size{base.VCPUCount, base.MemoryMiB, base.DiskMiB} }

// groups are the control groups around the host agent.
type groups interface {
	// MemoryRoom is how many bytes their limits leave; limited is false without any.
	MemoryRoom() (bytes uint64, limited bool)
}

// Control admits sandboxes on one host.
type Control struct {
	bounds   Bounds
	groups   groups
	promised func() Size

	mutex    sync.Mutex
	reserved map[*Size]struct{} // for starts under way, whose pages are not taken yet
}

// New makes a Control. promised is what running sandboxes were promised, and the disks
// of all sandboxes; it does not count sandboxes that are being started.
func New(bounds Bounds, groups groups, promised func() Size) *Control {
	return &Control{bounds: bounds, groups: groups, promised: promised, reserved: make(map[*Size]struct{})}
}

// A restored guest shares its template's pages. It is expected to write half of its
// memory, and at most a quarter while it starts.
const (
	expectedDivisor = 2
	startingDivisor = 4
)

// Admit refuses a sandbox with an error that is ErrNoRoom, or reserves room for it. The
// caller calls release when the sandbox has started or has failed to.
func (c *Control) Admit(wanted Size) (release func(), err error) {
	have, err := c.measure()
	if err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for started := range c.reserved {
		have.cpus -= int64(started.VCPUCount)
		have.promisedMiB -= int64(started.MemoryMiB)
		have.memoryMiB -= int64(started.MemoryMiB / startingDivisor)
		have.diskMiB -= int64(started.MemoryMiB)
		have.promisedDiskMiB -= int64(started.DiskMiB)
	}
	if err := c.bounds.fits(wanted, have); err != nil {
		return nil, err
	}
	c.reserved[&wanted] = struct{}{}
	return func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		delete(c.reserved, &wanted)
	}, nil
}

// AdmitOrReclaim is Admit that, when memory is short, calls reclaim and tries once more
// if that has freed any.
func (c *Control) AdmitOrReclaim(wanted Size, reclaim func() bool) (release func(), err error) {
	release, err = c.Admit(wanted)
	var short *ShortageError
	var pressed *PressureError
	lacksMemory := errors.As(err, &short) && short.Resource == freeMemory || errors.As(err, &pressed)
	if lacksMemory && reclaim() {
		return c.Admit(wanted)
	}
	return release, err
}

// Load is what a host has promised and what is left of its memory.
type Load struct {
	// Promised is what sandboxes were promised, those that start included.
	Promised Size
	// MemoryAvailableBytes is free or can be freed, within the limits of the control
	// groups around the agent.
	MemoryAvailableBytes uint64
	// MemoryPressurePercent is how much of the last ten seconds something waited for
	// memory.
	MemoryPressurePercent float64
}

// Load measures the host.
func (c *Control) Load() (Load, error) {
	have, err := c.measure()
	if err != nil {
		return Load{}, err
	}
	return Load{
		Promised:              c.promised().Plus(c.starting()),
		MemoryAvailableBytes:  uint64(have.memoryMiB) << 20,
		MemoryPressurePercent: have.pressurePercent,
	}, nil
}

// starting is the sum of the reservations.
func (c *Control) starting() Size {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var sum Size
	for started := range c.reserved {
		sum = sum.Plus(*started)
	}
	return sum
}

// scarceDivisor: with less than a quarter of a host's memory free, waiting for memory is
// the host's own problem. With more, some control group has reached its own limit; a
// sandbox can do that on purpose, and must not keep others out by it.
const scarceDivisor = 4

// room is what a host has left, reserves included.
type room struct {
	scarce          bool // little memory is free
	cpus            int64
	promisedMiB     int64
	memoryMiB       int64
	diskMiB         int64
	promisedDiskMiB int64
	pressurePercent float64
}

func (c *Control) measure() (room, error) {
	total, available, err := HostMemory()
	if err != nil {
		return room{}, err
	}
	if bounded, limited := c.groups.MemoryRoom(); limited {
		available = min(available, bounded)
	}
	promised := c.promised()
	left := room{
		scarce:          available < total/scarceDivisor,
		cpus:            int64(float64(runtime.NumCPU())*c.bounds.CPURatio) - int64(promised.VCPUCount),
		promisedMiB:     int64(float64(total>>20)*c.bounds.MemoryRatio) - int64(promised.MemoryMiB),
		memoryMiB:       int64(available >> 20),
		diskMiB:         1 << 40,
		promisedDiskMiB: 1 << 40,
		pressurePercent: MemoryPressure(),
	}
	for _, directory := range c.bounds.Directories {
		size, free, err := disk.Usage(directory)
		if err != nil {
			return room{}, err
		}
		left.diskMiB = min(left.diskMiB, int64(free>>20))
		left.promisedDiskMiB = min(left.promisedDiskMiB, int64(float64(size>>20)*c.bounds.DiskRatio)-int64(promised.DiskMiB))
	}
	return left, nil
}

// fits returns what is short, or nil.
func (b Bounds) fits(wanted Size, have room) error {
	if b.PressurePercent > 0 && have.scarce && have.pressurePercent > b.PressurePercent {
		return &PressureError{Percent: have.pressurePercent, Most: b.PressurePercent}
	}
	for _, bound := range []struct {
		bounded bool
		short   ShortageError
	}{
		{b.CPURatio > 0, ShortageError{promisedCPUs, "CPUs", have.cpus, int64(wanted.VCPUCount)}},
		{b.MemoryRatio > 0, ShortageError{promisedMemory, "MiB", have.promisedMiB, int64(wanted.MemoryMiB)}},
		{b.DiskRatio > 0 && wanted.DiskMiB > 0, ShortageError{promisedDisk, "MiB", have.promisedDiskMiB, int64(wanted.DiskMiB)}},
		{true, ShortageError{freeMemory, "MiB", have.memoryMiB - int64(b.MemoryReserveBytes>>20), int64(wanted.MemoryMiB / expectedDivisor)}},
		// A pause writes at most all of the memory to the disk.
		{len(b.Directories) > 0, ShortageError{freeDisk, "MiB", have.diskMiB - int64(b.DiskReserveBytes>>20), int64(wanted.MemoryMiB)}},
	} {
		if bound.bounded && bound.short.Left < bound.short.Needed {
			return &bound.short
		}
	}
	return nil
}
