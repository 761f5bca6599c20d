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

// commands are the processes in the control groups of commands, but for one.
func commands(except int) ([]int, error) {
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
