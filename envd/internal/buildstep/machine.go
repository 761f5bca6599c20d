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
	"unsafe"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// Grow makes the root file system as large as its disk.
type Grow struct{}

// resizeRequest is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64) of linux/ext4.h; getSizeRequest
// is BLKGETSIZE64 of linux/fs.h.
const (
	resizeRequest  = 0x40086610
	getSizeRequest = 0x80081272
)

// rootDevice is the disk of every guest.
const rootDevice = "/dev/vda"

func (Grow) do() (Result, error) {
	var root unix.Statfs_t
	if err := unix.Statfs("/", &root); err != nil {
		return Result{}, fmt.Errorf("measure the file system: %w", err)
	}
	diskBytes, err := deviceSize(rootDevice)
	if err != nil {
		return Result{}, err
	}
	blocks := diskBytes / uint64(root.Bsize)
	directory, err := os.Open("/")
	if err != nil {
		return Result{}, err
	}
	defer directory.Close()
	err = utils.WithDescriptor(directory, func(descriptor int) error {
		return ioctl(descriptor, resizeRequest, unsafe.Pointer(&blocks))
	})
	if err != nil {
		return Result{}, fmt.Errorf("make the file system as large as its disk: %w", err)
	}
	return Result{Changed: true}, nil
}

func deviceSize(path string) (size uint64, err error) {
	device, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer device.Close()
	err = utils.WithDescriptor(device, func(descriptor int) error {
		return ioctl(descriptor, getSizeRequest, unsafe.Pointer(&size))
	})
	return size, err
}

func ioctl(descriptor int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(descriptor), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

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
