package vmm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Process identifies a process of this machine. A later process can get its number, but
// not with the same start.
type Process struct {
	ID int `json:"id"`
	// Start is when it began, in clock ticks since the machine's boot.
	Start uint64 `json:"start"`
}

// IdentifyProcess finds the process that has a number now. A zombie is os.ErrNotExist.
// Source: proc_pid_stat(5), fields 3 and 22.
func IdentifyProcess(id int) (Process, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if errors.Is(err, unix.ESRCH) {
		err = os.ErrNotExist // it ended while its file was read
	}
	if err != nil {
		return Process{}, fmt.Errorf("inspect process %d: %w", id, err)
	}
	// The second field is the name in parentheses and may hold anything.
	_, rest, found := bytes.Cut(content[max(0, bytes.LastIndexByte(content, ')')):], []byte(") "))
	fields := bytes.Fields(rest)
	const stateField, startField = 0, 19 // counted from the third of proc_pid_stat(5)
	if !found || len(fields) <= startField {
		return Process{}, fmt.Errorf("inspect process %d: malformed stat line", id)
	}
	if state := string(fields[stateField]); state == "Z" || state == "X" {
		return Process{}, fmt.Errorf("inspect process %d: %w", id, os.ErrNotExist)
	}
	start, err := strconv.ParseUint(string(fields[startField]), 10, 64)
	if err != nil {
		return Process{}, fmt.Errorf("inspect process %d: %w", id, err)
	}
	return Process{ID: id, Start: start}, nil
}

// Runs reports whether the process still runs.
func (p Process) Runs() bool {
	if p.ID <= 0 {
		return false
	}
	now, err := IdentifyProcess(p.ID)
	return err == nil && now == p
}

// End kills the process and waits until it is gone. It does nothing if the process has
// ended, even if its number is another's now.
func (p Process) End(ctx context.Context) error {
	const pollEvery = 2 * time.Millisecond
	if !p.Runs() {
		return nil
	}
	descriptor, err := unix.PidfdOpen(p.ID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill process %d: %w", p.ID, err)
	}
	handle := os.NewFile(uintptr(descriptor), "pidfd")
	defer handle.Close()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	// The handle refers to the process that had the number when it was opened.
	for p.Runs() {
		if err := unix.PidfdSendSignal(descriptor, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", p.ID, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for process %d to end: %w", p.ID, ctx.Err())
		case <-poll.C:
		}
	}
	return nil
}

// FindProcesses returns the processes of this machine for which isOurs, called with
// their numbers in /proc, returns true. Processes that end meanwhile are left out.
func FindProcesses(isOurs func(id string) bool) ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []Process
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil || !isOurs(entry.Name()) {
			continue
		}
		identity, err := IdentifyProcess(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, identity)
	}
	return found, nil
}
