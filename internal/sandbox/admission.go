package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Admission is how much a host takes on before it refuses sandboxes. A bound of
// zero does not bound.
type Admission struct {
	// CPURatio and MemoryRatio are how many times the host's CPUs and memory may
	// be promised to sandboxes that run, DiskRatio how many times the disk to all.
	CPURatio    float64
	MemoryRatio float64
	DiskRatio   float64
	// MemoryReserveBytes and DiskReserveBytes are what always stays free.
	MemoryReserveBytes uint64
	DiskReserveBytes   uint64
	// PressurePercent is how much of ten seconds something may have waited for
	// memory, when little of it is free.
	PressurePercent float64
	// Directories are on the disks that sandboxes need room on.
	Directories []string
}

// ShortageError says what a host has too little of for another sandbox.
type ShortageError struct {
	Resource string
	Unit     string
	Left     int64
	Needed   int64
}

// Error says what is short and by how much.
func (e *ShortageError) Error() string {
	return fmt.Sprintf("%s: %d %s are left, %d %s are needed, %d too few", e.Resource, e.Left, e.Unit, e.Needed, e.Unit, e.Needed-e.Left)
}

// Unwrap makes it an ErrNoRoom.
func (e *ShortageError) Unwrap() error { return ErrNoRoom }

// PressureError says that what runs on a host waits for memory already.
type PressureError struct {
	Percent, Most float64
}

// Error says how much it waits.
func (e *PressureError) Error() string {
	return fmt.Sprintf("memory pressure: for %.0f %% of the last ten seconds something on this host waited for memory, %.0f too much", e.Percent, e.Percent-e.Most)
}

// Unwrap makes it an ErrNoRoom.
func (e *PressureError) Unwrap() error { return ErrNoRoom }

// Resources that can be short.
const (
	freeMemory     = "free memory"
	promisedMemory = "memory that may be promised"
	promisedCPUs   = "CPUs that may be promised"
	freeDisk       = "free disk space"
	promisedDisk   = "disk space that may be promised"
)

// size is what a sandbox that wants to start was promised.
type size struct {
	vcpuCount int
	memoryMiB int
	diskMiB   int // zero for one that has its disk already
}

func (s size) plus(more size) size {
	return size{s.vcpuCount + more.vcpuCount, s.memoryMiB + more.memoryMiB, s.diskMiB + more.diskMiB}
}

func sizeOf(base *snapshot.Snapshot) size {
	return size{base.VCPUCount, base.MemoryMiB, base.DiskMiB}
}

// size is without the disk, which it keeps while it is paused.
func (i Info) size() size { return size{vcpuCount: i.VCPUCount, memoryMiB: i.MemoryMiB} }

// reservations are for starts under way, whose pages are not taken yet.
type reservations struct {
	mutex    sync.Mutex
	reserved map[*size]struct{}
}

// sum is what was promised to starts under way.
func (r *reservations) sum() size {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var sum size
	for started := range r.reserved {
		sum = sum.plus(*started)
	}
	return sum
}

// A clone shares its template's pages: half of its memory is what it may be
// expected to touch, and a quarter the most while it starts.
const (
	expectedPart = 2
	startingPart = 4
)

// admit refuses a sandbox that the host has no room for, rather than end others
// later. The caller releases what is reserved for it when it has started, or not.
func (m *Manager) admit(wanted size) (release func(), err error) {
	have, err := m.measureRoom()
	if err != nil {
		return nil, err
	}
	m.starts.mutex.Lock()
	defer m.starts.mutex.Unlock()
	for started := range m.starts.reserved {
		have.cpus -= int64(started.vcpuCount)
		have.promisedMiB -= int64(started.memoryMiB)
		have.memoryMiB -= int64(started.memoryMiB / startingPart)
		have.diskMiB -= int64(started.memoryMiB)
		have.promisedDiskMiB -= int64(started.diskMiB)
	}
	if err := m.admission.fits(wanted, have); err != nil {
		return nil, err
	}
	m.starts.reserved[&wanted] = struct{}{}
	return func() {
		m.starts.mutex.Lock()
		defer m.starts.mutex.Unlock()
		delete(m.starts.reserved, &wanted)
	}, nil
}

// admitOrGiveBack is admit, for which clones that are only held ready make room.
func (m *Manager) admitOrGiveBack(wanted size) (release func(), err error) {
	release, err = m.admit(wanted)
	var short *ShortageError
	var pressed *PressureError
	lacksMemory := errors.As(err, &short) && short.Resource == freeMemory || errors.As(err, &pressed)
	if lacksMemory && m.warm.giveBack() {
		return m.admit(wanted)
	}
	return release, err
}

// scarcePart is how little of a host's memory is free when waiting for memory is
// the host's own. With more, something waits at a limit of its own, which a
// sandbox can make itself do: it shall not keep others out.
const scarcePart = 4

// room is what a host has left; reserves are not taken off yet.
type room struct {
	scarce          bool // of memory
	cpus            int64
	promisedMiB     int64
	memoryMiB       int64
	diskMiB         int64
	promisedDiskMiB int64
	pressurePercent float64
}

func (m *Manager) measureRoom() (room, error) {
	total, available, err := HostMemory()
	if err != nil {
		return room{}, err
	}
	if bounded, limited := m.cgroups.MemoryRoom(); limited {
		available = min(available, bounded)
	}
	promised := m.promised()
	left := room{
		scarce:          available < total/scarcePart,
		cpus:            int64(float64(runtime.NumCPU())*m.admission.CPURatio) - int64(promised.vcpuCount),
		promisedMiB:     int64(float64(total>>20)*m.admission.MemoryRatio) - int64(promised.memoryMiB),
		memoryMiB:       int64(available >> 20),
		diskMiB:         1 << 40,
		promisedDiskMiB: 1 << 40,
		pressurePercent: MemoryPressure(),
	}
	for _, directory := range m.admission.Directories {
		size, free, err := disk.Usage(directory)
		if err != nil {
			return room{}, err
		}
		left.diskMiB = min(left.diskMiB, int64(free>>20))
		left.promisedDiskMiB = min(left.promisedDiskMiB, int64(float64(size>>20)*m.admission.DiskRatio)-int64(promised.diskMiB))
	}
	return left, nil
}

// promised is what the sandboxes were promised that run, and the disks of all.
// Those that start have reservations.
func (m *Manager) promised() size {
	var sum size
	for _, info := range m.List() {
		switch info.State {
		case Running, Pausing, Snapshotting, Updating:
			sum = sum.plus(info.size())
			sum.diskMiB += info.DiskMiB
		case Paused, Resuming, Failed:
			sum.diskMiB += info.DiskMiB
		default:
		}
	}
	return sum
}

// fits says what is short, or nothing.
func (a Admission) fits(wanted size, have room) error {
	if a.PressurePercent > 0 && have.scarce && have.pressurePercent > a.PressurePercent {
		return &PressureError{Percent: have.pressurePercent, Most: a.PressurePercent}
	}
	for _, bound := range []struct {
		bounded bool
		short   ShortageError
	}{
		{a.CPURatio > 0, ShortageError{promisedCPUs, "CPUs", have.cpus, int64(wanted.vcpuCount)}},
		{a.MemoryRatio > 0, ShortageError{promisedMemory, "MiB", have.promisedMiB, int64(wanted.memoryMiB)}},
		{a.DiskRatio > 0 && wanted.diskMiB > 0, ShortageError{promisedDisk, "MiB", have.promisedDiskMiB, int64(wanted.diskMiB)}},
		{true, ShortageError{freeMemory, "MiB", have.memoryMiB - int64(a.MemoryReserveBytes>>20), int64(wanted.memoryMiB / expectedPart)}},
		// A pause writes down its memory, at most all of it.
		{len(a.Directories) > 0, ShortageError{freeDisk, "MiB", have.diskMiB - int64(a.DiskReserveBytes>>20), int64(wanted.memoryMiB)}},
	} {
		if bound.bounded && bound.short.Left < bound.short.Needed {
			return &bound.short
		}
	}
	return nil
}
