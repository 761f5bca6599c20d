package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// spawn furnishes a jail and starts the jailer in it, which executes Firecracker.
func (d *Driver) spawn(ctx context.Context, spec vmm.Spec, how launch) (_ *machine, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.User <= 0 {
		return nil, vmm.ErrNoUser
	}
	m := &machine{name: spec.Name, maker: d.Maker(), restored: how.restored}
	if m.memory, err = vmm.IdentifyMemory(how.memoryPath, spec.MemoryMiB); err != nil {
		return nil, err
	}
	if m.jail, err = makeJail(spec, filepath.Base(d.binary)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.jail.close()
		}
	}()
	if err := errors.Join(m.jail.lendDisk(spec.DiskPath), how.furnish(m.jail)); err != nil {
		return nil, err
	}
	if err := lendTap(spec.NetworkNamespace, spec.TapDevice, m.jail.user); err != nil {
		return nil, err
	}
	if m.output, err = vmm.OpenOutput(); err != nil {
		return nil, err
	}
	if m.process, err = d.run(spec, m.output); err != nil {
		return nil, errors.Join(err, m.output.Close())
	}
	m.api = newAPI()
	return m, nil
}

// run starts the process and watches it.
func (d *Driver) run(spec vmm.Spec, output *os.File) (*vmm.Watched, error) {
	command := exec.Command(d.jailer, d.arguments(spec)...)
	command.Env = []string{"PATH=/usr/bin:/bin"}
	command.Dir = "/"
	command.Stdout, command.Stderr = output, output
	// A session of its own keeps a signal to the agent's group from the VM. The
	// jailer could make the PID namespace, but then the VM would not be a child of
	// this process, which only learns how its children end.
	command.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	if spec.Cgroup != nil {
		command.SysProcAttr.UseCgroupFD, command.SysProcAttr.CgroupFD = true, int(spec.Cgroup.Fd())
	}
	if err := confined(filepath.Join(spec.RunDir, jailDirectory), command.Start); err != nil {
		return nil, err
	}
	return vmm.WatchCommand(command, "Firecracker")
}

func (d *Driver) arguments(spec vmm.Spec) []string {
	arguments := []string{
		"--id", jailID(spec.Name), "--exec-file", d.binary,
		"--uid", strconv.Itoa(spec.User), "--gid", strconv.Itoa(sharedGroup),
		"--chroot-base-dir", filepath.Join(spec.RunDir, jailDirectory),
	}
	if spec.NetworkNamespace != "" {
		arguments = append(arguments, "--netns", spec.NetworkNamespace)
	}
	return append(arguments, "--", "--api-sock", jailSocket, "--level", "Error")
}

// confined calls start on a thread that has set no_new_privs, in a mount namespace where
// the jail's directory allows programs and devices. The file system that holds guests'
// disks is mounted with noexec and nodev.
func confined(directory string, start func() error) error {
	return thread.Run(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		if err := vmm.CloseOnExec(); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := unix.Mount(directory, directory, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount the jail: %w", err)
		}
		if err := unix.Mount("", directory, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID, ""); err != nil {
			return fmt.Errorf("allow programs in the jail: %w", err)
		}
		return start()
	})
}
