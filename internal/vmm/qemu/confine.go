package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// confinement is the namespaces and the filter that QEMU is started in.
type confinement struct {
	networkNamespace string // path; empty for the host's
	// root is an existing empty directory, where the new root is mounted; needed
	// are the files that must be visible in it.
	root   string
	needed []string
}

// systemFiles are those that QEMU needs to start.
var systemFiles = []string{"/usr", "/lib", "/lib64", "/etc", "/dev", "/proc"}

func (d *Driver) confinement(spec vmm.Spec, files ...string) confinement {
	return confinement{
		networkNamespace: spec.NetworkNamespace, root: filepath.Join(spec.RunDir, emptyDirectory),
		needed: slices.Concat(systemFiles, files, []string{d.binary, spec.RunDir, spec.DiskPath}),
	}
}

// start starts command from a thread of its own that has set no_new_privs, entered the
// namespaces and installed the filter, all of which the child inherits.
func (c confinement) start(command *exec.Cmd, opener *memoryOpener) error {
	return thread.Run(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		if err := vmm.CloseOnExec(); err != nil {
			return err
		}
		if err := c.enterNetwork(); err != nil {
			return err
		}
		if err := c.enterMounts(); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := opener.watch(); err != nil {
			return err
		}
		return command.Start()
	})
}

func (c confinement) enterNetwork() error {
	if c.networkNamespace == "" {
		return nil
	}
	return thread.EnterNetwork(c.networkNamespace)
}

// enterMounts moves the thread into a mount namespace that has no mounts but those that
// QEMU needs: any other would keep its device busy as long as the VM runs.
// Source: pivot_root(2), the section on pivot_root(".", ".").
func (c confinement) enterMounts() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("/", c.root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the root file system: %w", err)
	}
	points, err := mountPoints(c.needed)
	if err != nil {
		return err
	}
	for _, point := range points {
		if err := unix.Mount(point, filepath.Join(c.root, point), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", point, err)
		}
	}
	if err := unix.Chdir(c.root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("make it the root: %w", err)
	}
	return unix.Unmount(".", unix.MNT_DETACH)
}

// mountPoints returns the mount points that files are on, outer ones first, without the
// root. Files that do not exist are left out.
func mountPoints(files []string) ([]string, error) {
	var points []string
	for _, file := range files {
		path, err := filepath.EvalSymlinks(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for ; path != "/"; path = filepath.Dir(path) {
			if slices.Contains(points, path) {
				continue
			}
			isPoint, err := isMountPoint(path)
			if err != nil {
				return nil, err
			}
			if isPoint {
				points = append(points, path)
			}
		}
	}
	slices.Sort(points) // a mount's point sorts before what is below it
	return points, nil
}

// Source: statx(2), STATX_ATTR_MOUNT_ROOT, since Linux 5.8.
func isMountPoint(path string) (bool, error) {
	var status unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &status); err != nil {
		return false, fmt.Errorf("inspect %s: %w", path, err)
	}
	return status.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}
