package sandbox

import "time"

// Counters only grow. What the kernel counts for a VM starts at zero with it, or
// with its network; what a sandbox took goes on from life to life.
type Counters struct {
	// CPU is the time of CPUs taken, that of the VMM included.
	CPU time.Duration `json:"cpuNanoseconds"`
	// DiskReadBytes and DiskWrittenBytes went from and to the host's disks.
	DiskReadBytes    uint64 `json:"diskReadBytes"`
	DiskWrittenBytes uint64 `json:"diskWrittenBytes"`
	// NetworkReceivedBytes came to the guest.
	NetworkReceivedBytes   uint64 `json:"networkReceivedBytes"`
	NetworkSentBytes       uint64 `json:"networkSentBytes"`
	NetworkReceivedPackets uint64 `json:"networkReceivedPackets"`
	NetworkSentPackets     uint64 `json:"networkSentPackets"`
}

// Usage is what a sandbox took in all its life, pauses apart.
type Usage struct {
	// Running is how long it ran. How much memory it was promised all that time
	// never changes, so that this is also the measure of memory.
	Running time.Duration `json:"runningNanoseconds"`
	Counters
}

// MemoryGiBSeconds is the size of its memory over the time it ran.
func (u Usage) MemoryGiBSeconds(memoryMiB int) float64 {
	const mebibytesPerGibibyte = 1024
	return float64(memoryMiB) / mebibytesPerGibibyte * u.Running.Seconds()
}

// combine makes of each pair of counters what the caller says.
func combine(a, b Counters, of func(a, b uint64) uint64) Counters {
	return Counters{
		CPU:                    time.Duration(of(uint64(a.CPU), uint64(b.CPU))),
		DiskReadBytes:          of(a.DiskReadBytes, b.DiskReadBytes),
		DiskWrittenBytes:       of(a.DiskWrittenBytes, b.DiskWrittenBytes),
		NetworkReceivedBytes:   of(a.NetworkReceivedBytes, b.NetworkReceivedBytes),
		NetworkSentBytes:       of(a.NetworkSentBytes, b.NetworkSentBytes),
		NetworkReceivedPackets: of(a.NetworkReceivedPackets, b.NetworkReceivedPackets),
		NetworkSentPackets:     of(a.NetworkSentPackets, b.NetworkSentPackets),
	}
}

func (c Counters) plus(more Counters) Counters {
	return combine(c, more, func(a, b uint64) uint64 { return a + b })
}

// since is what was added to an earlier reading; one that is greater adds nothing.
func (c Counters) since(earlier Counters) Counters {
	return combine(c, earlier, func(a, b uint64) uint64 { return a - min(a, b) })
}

// atLeast makes up for what could not be read any more.
func (c Counters) atLeast(earlier Counters) Counters {
	return combine(c, earlier, func(a, b uint64) uint64 { return max(a, b) })
}
