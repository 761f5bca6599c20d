package admission

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// HostMemory reads the host's memory in bytes: all of it, and what is free or can be
// freed. Source: proc_meminfo(5).
func HostMemory() (total, available uint64, err error) {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("measure memory: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kibibytes, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "MemTotal":
			total = kibibytes << 10
		case "MemAvailable":
			available = kibibytes << 10
		}
	}
	return total, available, nil
}

// MemoryPressure is the percentage of the last ten seconds in which something on the
// host waited for memory; zero where the kernel does not count it.
// Source: Documentation/accounting/psi.rst in Linux.
func MemoryPressure() float64 {
	content, err := os.ReadFile("/proc/pressure/memory")
	if err != nil {
		return 0
	}
	return parsePressure(string(content))
}

func parsePressure(content string) float64 {
	_, rest, _ := strings.Cut(content, "some avg10=")
	number, _, _ := strings.Cut(rest, " ")
	percent, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	return percent
}
