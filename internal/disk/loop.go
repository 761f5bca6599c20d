package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mountLoop attaches image to a free loop device, which is detached when it is unmounted,
// and mounts it. Deleted blocks are freed in the host's file system.
func mountLoop(image, directory string) error {
	backing, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open storage image: %w", err)
	}
	defer backing.Close()
	device, err := findLoop(backing)
	if err == nil && device == nil {
		device, err = attachLoop(backing)
	}
	if err != nil {
		return err
	}
	defer device.Close()
	// gVisor's guests execute what they map of their images: the mount cannot be noexec.
	if err := unix.Mount(device.Name(), directory, "xfs", unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID, "discard"); err != nil {
		return fmt.Errorf("mount %s at %s: %w", device.Name(), directory, err)
	}
	return nil
}

// findLoop returns the loop device that has the file already, or nil. After an unmount the
// file can still be mounted in another mount namespace, such as a service's: a second
// device would then mean two file systems on one file.
func findLoop(backing *os.File) (*os.File, error) {
	var wanted unix.Stat_t
	if err := unix.Fstat(int(backing.Fd()), &wanted); err != nil {
		return nil, fmt.Errorf("inspect storage image: %w", err)
	}
	attached, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return nil, err
	}
	for _, entry := range attached {
		device, err := os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(entry))), os.O_RDWR, 0)
		if err != nil {
			continue // it was detached meanwhile
		}
		status, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
		if err == nil && status.Inode == wanted.Ino && status.Device == wanted.Dev {
			return device, nil
		}
		device.Close()
	}
	return nil, nil
}

// attachLoop attaches a file to a free loop device. It tries again when another process
// takes the device first.
func attachLoop(backing *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices are not available (%w); run: modprobe loop", err)
	}
	defer control.Close()
	const attempts = 16
	for range attempts {
		index, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", index), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("open loop device: %w", err)
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attach %s: %w", backing.Name(), err)
		}
	}
	return nil, errors.New("every loop device is in use; run: losetup --list")
}
