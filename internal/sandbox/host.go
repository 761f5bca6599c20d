package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// proportionalMemory is the host's memory that a process takes, in bytes; of
// what it shares with others, its share.
// Source: proc_pid_smaps_rollup in proc_pid_smaps(5).
func proportionalMemory(processID int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", processID))
	if err != nil {
		return 0, fmt.Errorf("measure a VM's memory: %w", err)
	}
	_, rest, found := strings.Cut(string(content), "\nPss:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, errors.New("measure a VM's memory: the kernel does not tell")
	}
	kibibytes, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure a VM's memory: %w", err)
	}
	return kibibytes << 10, nil
}

// HostMemory reads the host's memory in bytes: all of it, and what is free or
// can be freed.
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

// MemoryPressure is how much of the last ten seconds, in percent, something on
// the host waited for memory; zero where the kernel does not tell.
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
