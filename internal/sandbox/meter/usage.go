package meter

import "time"

// Counters only grow. The kernel counts from zero for each VM and each network; a
// sandbox's counters are the sums over all its VMs.
type Counters struct {
	// CPU is CPU time, the VMM's own included.
	CPU time.Duration `json:"cpuNanoseconds"`
	// DiskReadBytes and DiskWrittenBytes are transfers from and to the host's disks.
	DiskReadBytes    uint64 `json:"diskReadBytes"`
	DiskWrittenBytes uint64 `json:"diskWrittenBytes"`
	// NetworkReceivedBytes is what the guest received.
	NetworkReceivedBytes   uint64 `json:"networkReceivedBytes"`
	NetworkSentBytes       uint64 `json:"networkSentBytes"`
	NetworkReceivedPackets uint64 `json:"networkReceivedPackets"`
	NetworkSentPackets     uint64 `json:"networkSentPackets"`
}

// Usage is what a sandbox used in its whole life, pauses not counted.
type Usage struct {
	// Running is how long it ran. A sandbox's memory size never changes, so this also
	// gives its memory use over time.
	Running time.Duration `json:"runningNanoseconds"`
	Counters
}

// MemoryGiBSeconds is a memory size multiplied by the running time.
func (u Usage) MemoryGiBSeconds(memoryMiB int) float64 {
	const mebibytesPerGibibyte = 1024
	return float64(memoryMiB) / mebibytesPerGibibyte * u.Running.Seconds()
}

// combine applies a function to each pair of counters.
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

// since subtracts an earlier reading. A counter that went back gives zero.
func (c Counters) since(earlier Counters) Counters {
	return combine(c, earlier, func(a, b uint64) uint64 { return a - min(a, b) })
}

// atLeast takes the earlier reading of each counter that is smaller now: the counters of
// an ended process cannot be read any more.
func (c Counters) atLeast(earlier Counters) Counters {
	return combine(c, earlier, func(a, b uint64) uint64 { return max(a, b) })
}
