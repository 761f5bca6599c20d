package warm

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// proportionalMemory is the host memory of a process in bytes; of what it shares with
// other processes, its share.
// Source: proc_pid_smaps_rollup in proc_pid_smaps(5).
func proportionalMemory(processID int) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", processID))
	if err != nil {
		return 0, fmt.Errorf("measure a VM's memory: %w", err)
	}
	_, rest, found := strings.Cut(string(content), "\nPss:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, errors.New("measure a VM's memory: the kernel does not count it")
	}
	kibibytes, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("measure a VM's memory: %w", err)
	}
	return kibibytes << 10, nil
}
