package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mount is a file system of the kernel's.
type mount struct {
	path, kind string
	flags      uintptr
	options    string
	// optional: not every kernel has it.
	optional bool
}

// Flags of what holds no programs.
const (
	noSuid   = unix.MS_NOSUID | unix.MS_NODEV
	harmless = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
)

// mounts are what systemd would mount, in the order of mounting. Source: the table in its
// src/shared/mount-setup.c, and its API file systems' units.
var mounts = []mount{
	{path: "/proc", kind: "proc", flags: harmless},
	{path: "/sys", kind: "sysfs", flags: harmless},
	{path: "/dev", kind: "devtmpfs", flags: unix.MS_NOSUID},
	{path: "/sys/kernel/security", kind: "securityfs", flags: harmless, optional: true},
	{path: "/sys/kernel/debug", kind: "debugfs", flags: harmless, optional: true},
	{path: "/sys/kernel/tracing", kind: "tracefs", flags: harmless, optional: true},
	{path: "/sys/fs/bpf", kind: "bpf", flags: harmless, options: "mode=700", optional: true},
	{path: "/run", kind: "tmpfs", flags: noSuid, options: "mode=755"},
	{path: "/run/envd", kind: "tmpfs", flags: harmless, options: "mode=700,size=1m"},
	{path: "/dev/pts", kind: "devpts", flags: unix.MS_NOSUID | unix.MS_NOEXEC, options: "gid=5,mode=620,ptmxmode=666"},
	{path: "/dev/shm", kind: "tmpfs", flags: noSuid, options: "mode=1777"},
	{path: "/dev/mqueue", kind: "mqueue", flags: harmless, optional: true},
	{path: "/dev/hugepages", kind: "hugetlbfs", flags: noSuid, optional: true},
	{path: "/sys/fs/cgroup", kind: "cgroup2", flags: harmless, options: "nsdelegate,memory_recursiveprot"},
}

// mountAll mounts all of them, and goes on after an error.
func mountAll() error {
	var failures []error
	for _, m := range mounts {
		failures = append(failures, mountOne(m))
	}
	return errors.Join(failures...)
}

func mountOne(m mount) error {
	if err := makeDirectory(m.path); err != nil && !m.optional {
		return fmt.Errorf("mount %s: %w", m.path, err)
	}
	err := unix.Mount(m.kind, m.path, m.kind, m.flags, m.options)
	if err == nil || m.optional && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT)) {
		return nil
	}
	return fmt.Errorf("mount %s: %w", m.path, err)
}

// makeDirectory makes a directory with its parents, also in place of a link that leads
// nowhere.
func makeDirectory(path string) error {
	const mode = 0o755
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSymlink {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return os.MkdirAll(path, mode)
}
