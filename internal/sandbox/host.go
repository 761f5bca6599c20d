package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// reserveMiB is memory the host keeps for itself, below which it takes no
// more sandboxes.
const reserveMiB = 512

// admit refuses a sandbox that the host has no memory for. A clone shares its
// template's pages, so half of its size is what it may be expected to touch.
func (m *Manager) admit(memoryMiB int) error {
	_, available, err := HostMemory()
	if err != nil {
		return err
	}
	if need := uint64(memoryMiB/2+reserveMiB) << 20; available < need {
		return fmt.Errorf("%d MiB of memory are free, %d MiB are needed: %w", available>>20, need>>20, ErrNoRoom)
	}
	return nil
}

// admitOrGiveBack is admit, for which clones that are only held ready make room.
func (m *Manager) admitOrGiveBack(memoryMiB int) error {
	err := m.admit(memoryMiB)
	if errors.Is(err, ErrNoRoom) && m.warm.giveBack() {
		return m.admit(memoryMiB)
	}
	return err
}

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
