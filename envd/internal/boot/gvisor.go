package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// GVisor is the argument by which the first program of a guest is told that its kernel is
// gVisor's: root file system, Wrenn's directory, network and devices are there already, and
// there are no modules.
const GVisor = "gvisor"

// kernelVariable tells programs of Wrenn's which kernel they run on; unset for Linux.
const kernelVariable = "WRENN_KERNEL"

// UnderGVisor reports whether the guest's first program was told that its kernel is
// gVisor's.
func UnderGVisor() bool { return os.Getenv(kernelVariable) == GVisor }

// gvisorMounts are what mounts lacks there.
var gvisorMounts = []mount{
	{path: "/run/envd", kind: "tmpfs", flags: harmless, options: "mode=700,size=1m"},
	{path: "/dev/mqueue", kind: "mqueue", flags: harmless, optional: true},
	{path: "/sys/fs/cgroup", kind: "cgroup2", flags: harmless, optional: true},
}

// InitGVisor is Init of a guest of gVisor's.
func InitGVisor() {
	err := os.Setenv(kernelVariable, GVisor)
	if err == nil {
		err = initialiseGVisor()
	}
	fmt.Fprintf(os.Stderr, "wrenn: the guest does not start: %v\n", err)
	os.Exit(1)
}

func initialiseGVisor() error {
	unix.Umask(0) // modes are as they are written here
	complain(keepTemporaryFiles())
	for _, m := range gvisorMounts {
		complain(mountOne(m))
	}
	complain(makePlaces("/"))
	unix.Umask(defaultUmask)
	complain(setHostName())
	return handOver(Settings{Init: initOwn})
}

// keepTemporaryFiles removes the file system in memory that gVisor mounts at an empty /tmp:
// files there are on the disk, as in other guests.
func keepTemporaryFiles() error {
	err := unix.Unmount("/tmp", 0)
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // nothing is mounted there
		return nil
	}
	return fmt.Errorf("have /tmp on the disk: %w", err)
}
