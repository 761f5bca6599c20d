package host

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Metrics is what the guest uses, with the names and units of the protocol.
type Metrics struct {
	Timestamp      int64   `json:"ts"` // Unix seconds
	CPUCount       int     `json:"cpu_count"`
	CPUUsedPercent float32 `json:"cpu_used_pct"`
	MemoryTotal    uint64  `json:"mem_total"` // bytes, like all below without a suffix
	MemoryUsed     uint64  `json:"mem_used"`
	MemoryCache    uint64  `json:"mem_cache"`
	MemoryTotalMiB uint64  `json:"mem_total_mib"`
	MemoryUsedMiB  uint64  `json:"mem_used_mib"`
	DiskUsed       uint64  `json:"disk_used"`
	DiskTotal      uint64  `json:"disk_total"`
}

// Meter measures the guest. CPU use is that since the last measurement.
type Meter struct {
	mutex sync.Mutex
	last  cpuTimes
}

type cpuTimes struct{ busy, total uint64 }

// Measure reads the guest's use of CPU, memory and disk.
func (m *Meter) Measure() (Metrics, error) {
	times, err := readCPUTimes()
	if err != nil {
		return Metrics{}, err
	}
	memory, err := readMemory()
	if err != nil {
		return Metrics{}, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs("/", &disk); err != nil {
		return Metrics{}, fmt.Errorf("measure the disk: %w", err)
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	used := times.since(m.last)
	m.last = times
	memoryUsed := memory["MemTotal"] - memory["MemFree"] - memory["Cached"] - memory["Buffers"] - memory["SReclaimable"]
	return Metrics{
		Timestamp:      time.Now().Unix(),
		CPUCount:       runtime.NumCPU(),
		CPUUsedPercent: used,
		MemoryTotal:    memory["MemTotal"],
		MemoryUsed:     memoryUsed,
		MemoryCache:    memory["Cached"] + memory["Buffers"] + memory["SReclaimable"],
		MemoryTotalMiB: memory["MemTotal"] >> 20,
		MemoryUsedMiB:  memoryUsed >> 20,
		DiskUsed:       (disk.Blocks - disk.Bfree) * uint64(disk.Bsize),
		DiskTotal:      disk.Blocks * uint64(disk.Bsize),
	}, nil
}

// since is the busy share of all CPUs between two readings, in percent.
func (t cpuTimes) since(earlier cpuTimes) float32 {
	if t.total <= earlier.total || t.busy < earlier.busy {
		return 0
	}
	return 100 * float32(t.busy-earlier.busy) / float32(t.total-earlier.total)
}

// readCPUTimes reads the first line of /proc/stat: user nice system idle
// iowait irq softirq steal, in clock ticks over all CPUs.
// Source: proc(5).
func readCPUTimes() (cpuTimes, error) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}, fmt.Errorf("measure CPU: %w", err)
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Fields(string(line))
	const idle, ioWait, fieldsNeeded = 3, 4, 9
	if len(fields) < fieldsNeeded || fields[0] != "cpu" {
		return cpuTimes{}, fmt.Errorf("measure CPU: malformed line %q", line)
	}
	var times cpuTimes
	for i, field := range fields[1:fieldsNeeded] {
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return cpuTimes{}, fmt.Errorf("measure CPU: %w", err)
		}
		times.total += ticks
		if i != idle && i != ioWait {
			times.busy += ticks
		}
	}
	return times, nil
}

// readMemory reads /proc/meminfo, in bytes.
func readMemory() (map[string]uint64, error) {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	sizes := make(map[string]uint64)
	for line := range strings.Lines(string(content)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		if kibibytes, err := strconv.ParseUint(fields[0], 10, 64); err == nil {
			sizes[name] = kibibytes << 10
		}
	}
	return sizes, nil
}
