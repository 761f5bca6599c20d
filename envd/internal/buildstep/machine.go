package buildstep

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Status tells why a command may have failed.
type Status struct{}

// commandsGroup is the control group of all commands. Its memory.events counts those that
// the kernel ended.
const commandsGroup = "/sys/fs/cgroup/commands"

func (Status) do() (Result, error) {
	var root unix.Statfs_t
	if err := unix.Statfs("/", &root); err != nil {
		return Result{}, fmt.Errorf("measure the file system: %w", err)
	}
	result := Result{DiskFreeBytes: int64(root.Bavail) * root.Bsize}
	events, err := os.ReadFile(filepath.Join(commandsGroup, "memory.events"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{}, err
	}
	for line := range bytes.Lines(events) {
		name, count, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if name == "oom_kill" {
			result.OutOfMemoryKills, _ = strconv.ParseInt(count, 10, 64)
		}
	}
	return result, nil
}

// Settle ends every command that a step has left, as the end of a container does, and
// writes out the file system.
type Settle struct{}

// maxSweeps bounds how often Settle looks for commands: they can fork before they are
// found.
const maxSweeps = 100

func (Settle) do() (Result, error) {
	own := os.Getpid()
	for range maxSweeps {
		left, err := commands(own)
		if err != nil {
			return Result{}, err
		}
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended meanwhile
		}
	}
	unix.Sync()
	return Result{}, nil
}

// commands are the processes in the control groups of commands, but for one. Where the
// kernel has no such groups, they are all processes but those that have started this one.
func commands(except int) ([]int, error) {
	if _, err := os.Stat(commandsGroup); errors.Is(err, fs.ErrNotExist) && isGuest() {
		return othersThanAncestors(except)
	}
	var found []int
	err := filepath.WalkDir(commandsGroup, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.Name() != "cgroup.procs" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		for _, field := range bytes.Fields(content) {
			if pid, err := strconv.Atoi(string(field)); err == nil && pid != except {
				found = append(found, pid)
			}
		}
		return nil
	})
	return found, err
}

// isGuest tells a guest from every other machine, on which nothing is to be ended: the first
// process is Wrenn's.
func isGuest() bool {
	first, err := os.Readlink("/proc/1/exe")
	return err == nil && strings.HasPrefix(first, "/.wrenn/")
}

// othersThanAncestors are all processes but one and those that it descends from: the guest
// agent, and the first process.
func othersThanAncestors(of int) ([]int, error) {
	parents, err := parentsOf()
	if err != nil {
		return nil, err
	}
	ancestors := make(map[int]bool)
	for pid := of; pid > 0 && !ancestors[pid]; pid = parents[pid] {
		ancestors[pid] = true
	}
	var found []int
	for pid := range parents {
		if !ancestors[pid] {
			found = append(found, pid)
		}
	}
	return found, nil
}

// parentsOf returns the parent of each process that has not ended.
// Source: proc_pid_stat(5).
func parentsOf() (map[int]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may contain any.
		fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
		pid, pidErr := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) < 2 || pidErr != nil || string(fields[0]) == "Z" {
			continue
		}
		if parent, err := strconv.Atoi(string(fields[1])); err == nil {
			parents[pid] = parent
		}
	}
	return parents, nil
}
