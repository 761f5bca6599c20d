// Package cgroup puts the process of each virtual machine into a control group of its own,
// which bounds and counts what it uses, and ends all of its processes at once.
//
// It uses version 2, outside of any service's part of the hierarchy, so that stopping the
// agent's service ends no virtual machine. Where some controllers, or all, cannot be used,
// it logs one warning and does without.
// Source: Documentation/admin-guide/cgroup-v2.rst in Linux.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Off as a base directory means that no groups are made.
const Off = "off"

// defaultBase is the directory of groups, below the hierarchy's mount point.
const defaultBase = "wrenn"

// Root is the directory of one installation's groups. Open makes it.
type Root struct {
	mount       string // where version 2 is mounted; empty if it is not
	path        string // empty if no groups can be made
	controllers []string
}

// wanted are the controllers that limits are set with.
var wanted = []string{"cpu", "memory", "pids", "io"}

// Open prepares the directory installation in base; an empty base is "wrenn" at the top of
// the hierarchy. It does not fail: what is not possible on this machine is logged in one
// warning, and Create does without it.
func Open(base, installation string, log *slog.Logger) *Root {
	r := &Root{}
	if base == Off {
		log.Warn("no limits are set on sandboxes: control groups are turned off")
		return r
	}
	if err := r.open(base, installation); err != nil {
		r.path, r.controllers = "", nil
		log.Warn("no limits are set on sandboxes: control groups cannot be used here", "error", err)
		return r
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(r.controllers, name) })
	if len(missing) > 0 {
		log.Warn("not every limit is set on sandboxes: control groups lack controllers", "missing", missing, "directory", r.path)
	}
	return r
}

func (r *Root) open(base, installation string) error {
	mounts, err := findMounts("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	r.mount = mounts[0]
	if base == "" {
		base = filepath.Join(r.mount, defaultBase)
	}
	base = filepath.Clean(base)
	holder := slices.IndexFunc(mounts, func(mount string) bool { return strings.HasPrefix(base, mount+"/") })
	if holder < 0 {
		return fmt.Errorf("%s is not below %s, where control groups are", base, strings.Join(mounts, " or "))
	}
	r.mount = mounts[holder]
	r.path = filepath.Join(base, installation)
	if err := makeDirectory(r.path); err != nil {
		return err
	}
	r.controllers = enable(r.mount, r.path)
	return r.tryStart()
}

// makeDirectory is os.MkdirAll that tries again when another agent removes the empty base.
func makeDirectory(path string) error {
	const attempts, mode = 3, 0o755
	var err error
	for range attempts {
		if err = os.MkdirAll(path, mode); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	return nil
}

// enable enables controllers in every directory from the top of the hierarchy to path, and
// returns those that groups in path can use.
func enable(mount, path string) []string {
	below, _ := filepath.Rel(mount, path)
	directory := mount
	enableIn(directory)
	for name := range strings.SplitSeq(below, "/") {
		directory = filepath.Join(directory, name)
		enableIn(directory)
	}
	return fields(directory, "cgroup.subtree_control")
}

// enableIn enables controllers one at a time, because one that is refused fails all in the
// same write. It ignores errors: enable reads which are enabled in the end.
func enableIn(directory string) {
	have := fields(directory, "cgroup.subtree_control")
	for _, name := range fields(directory, "cgroup.controllers") {
		if slices.Contains(wanted, name) && !slices.Contains(have, name) {
			_ = write(directory, "cgroup.subtree_control", "+"+name)
		}
	}
}

// probe is the name of a group that is removed at once.
const probe = "probe"

// Check returns an error if limits cannot be set although their controllers are enabled:
// for example, a disk's scheduler may not support weights.
func (r *Root) Check(limits Limits) error {
	group, err := r.Create(probe, limits)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return group.Remove(ctx)
}

// tryStart returns an error if the kernel cannot start processes in a group.
func (r *Root) tryStart() error {
	group, err := r.Create(probe, Limits{})
	if err != nil {
		return err
	}
	command := exec.Command("/bin/true")
	command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.directory.Fd())}
	if err = command.Run(); err != nil {
		err = fmt.Errorf("start a process in a control group: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return errors.Join(err, group.Remove(ctx))
}

// Path is the directory of the groups; empty if none can be made.
func (r *Root) Path() string { return r.path }

// Enforces reports whether a controller, such as "memory", bounds groups.
func (r *Root) Enforces(controller string) bool { return slices.Contains(r.controllers, controller) }

// RemoveAllBut removes every group whose name is not in keep, and ends its processes.
func (r *Root) RemoveAllBut(ctx context.Context, keep []string) error {
	if r.path == "" {
		return nil
	}
	entries, err := os.ReadDir(r.path)
	if err != nil {
		return fmt.Errorf("list control groups: %w", err)
	}
	var failures []error
	for _, entry := range entries {
		if !entry.IsDir() || slices.Contains(keep, entry.Name()) {
			continue
		}
		group, err := r.Find(entry.Name())
		if err == nil {
			err = group.Remove(ctx)
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// Close removes the installation's directory if no group is left in it.
func (r *Root) Close() error {
	if r.path == "" {
		return nil
	}
	err := unix.Rmdir(r.path)
	if err == nil {
		err = unix.Rmdir(filepath.Dir(r.path)) // other installations may have theirs in it
	}
	for _, fine := range []error{unix.ENOTEMPTY, unix.EBUSY, unix.ENOENT, unix.EPERM, unix.EACCES} {
		if errors.Is(err, fine) {
			return nil
		}
	}
	return err
}

// findMounts returns the mount points of the version 2 hierarchy, at least one.
// Source: proc_pid_mountinfo(5).
func findMounts(table string) ([]string, error) {
	content, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	var mounts []string
	const pathField = 4
	for line := range strings.Lines(string(content)) {
		place, device, found := strings.Cut(line, " - ")
		fields := strings.Fields(place)
		if found && strings.HasPrefix(device, "cgroup2 ") && len(fields) > pathField {
			mounts = append(mounts, fields[pathField])
		}
	}
	if len(mounts) == 0 {
		return nil, errors.New("no cgroup2 file system is mounted")
	}
	return mounts, nil
}

// fields reads a file of words; one that cannot be read has none.
func fields(directory, file string) []string {
	content, err := os.ReadFile(filepath.Join(directory, file))
	if err != nil {
		return nil
	}
	return strings.Fields(string(content))
}

func write(directory, file, value string) error {
	opened, err := os.OpenFile(filepath.Join(directory, file), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("set control group: %w", err)
	}
	defer opened.Close()
	if _, err := opened.WriteString(value); err != nil {
		return fmt.Errorf("set control group to %q: %w", value, err)
	}
	return nil
}
