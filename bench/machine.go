package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// machine is a running VMM and how it was started.
type machine struct {
	id        int
	arguments []string
	// secret is the token by which its guest agent knows the host agent.
	secret string
}

// machineOf finds the VMM of a sandbox by the host agent's record.
func machineOf(wrenn *installation.Installation, sandboxID string) (*machine, error) {
	content, err := os.ReadFile(filepath.Join(sandboxDirectory(wrenn, sandboxID), "sandbox.json"))
	if err != nil {
		return nil, err
	}
	var record struct {
		Process struct{ ID int }
		Token   string
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return nil, fmt.Errorf("read the record of %s: %w", sandboxID, err)
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", record.Process.ID))
	if err != nil {
		return nil, fmt.Errorf("find the VM of %s: %w", sandboxID, err)
	}
	return &machine{
		id: record.Process.ID, arguments: strings.Split(strings.TrimSuffix(string(arguments), "\x00"), "\x00"), secret: record.Token,
	}, nil
}

// storage is the directory of an installation's images and sandboxes.
func storage(wrenn *installation.Installation) string { return filepath.Join(wrenn.DataDir, "storage") }

func sandboxDirectory(wrenn *installation.Installation, sandboxID string) string {
	return filepath.Join(storage(wrenn), "sandboxes", sandboxID)
}

// cpuTime is the CPU time that the VM has taken so far, its guest's included.
func (m *machine) cpuTime() (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.id))
	if err != nil {
		return 0, err
	}
	// The fields after the name, which ends at the last parenthesis.
	// Source: proc_pid_stat(5), fields 14 and 15; they count ticks of 10 ms.
	const user, system, tick = 14 - 3, 15 - 3, 10 * time.Millisecond
	rest := string(content[bytes.LastIndexByte(content, ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) <= system {
		return 0, fmt.Errorf("read the CPU time of process %d: %q", m.id, content)
	}
	var ticks int64
	for _, field := range fields[user : system+1] {
		count, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of process %d: %w", m.id, err)
		}
		ticks += count
	}
	return time.Duration(ticks) * tick, nil
}

// proportionalMemory is the VM's proportional set size in bytes: pages that processes
// share count in equal parts for each.
func (m *machine) proportionalMemory() (float64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", m.id))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(content), "\nPss:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, errors.New("the kernel does not tell the proportional set size")
	}
	kibibytes, err := strconv.ParseFloat(fields[0], 64)
	return kibibytes * 1024, err
}
