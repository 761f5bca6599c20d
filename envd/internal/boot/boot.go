// Package boot is the guest's first program: the kernel starts it from the initramfs. It
// loads drivers, mounts the root disk, lays Wrenn's directory over it, mounts and sets what
// a Linux machine has, and becomes the program that supervises the guest agent, or the
// image's systemd. Nothing of the image's is needed for that.
package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Directory is where a guest has what Wrenn brings: read-only, in memory.
const Directory = "/.wrenn"

// Paths in the initramfs.
const (
	source       = "/wrenn"   // becomes Directory
	driversPath  = "/modules" // drivers, and the file that lists them in the order of loading
	driversOrder = "/modules/order"
	disk         = "/dev/vda"
	newRoot      = "/root"
)

// Open files of all that runs in the guest: sudo gives its commands what PID 1 has.
const (
	openFilesHard = 1 << 20
	openFilesSoft = 1 << 16
)

// probeAnswer is what a host looks for on the console that asks, by the word probeWord on
// the kernel's command line, whether a guest boots at all.
const (
	probeWord   = "wrenn.probe"
	probeAnswer = "wrenn-probe-ok"
)

// The VMM keeps what is on the console as long as it runs: a host that waits for the guest
// has time to read why it did not boot.
const (
	drain     = 200 * time.Millisecond
	lastWords = 5 * time.Second
)

// Init boots the guest. It returns only if that fails, after saying so on the console.
func Init() {
	err := initialise()
	fmt.Fprintf(os.Stderr, "wrenn: the guest does not boot: %v\n", err)
	<-time.After(lastWords)
	powerOff()
}

func initialise() error {
	limits := syscall.Rlimit{Cur: openFilesSoft, Max: openFilesHard}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limits); err != nil {
		return fmt.Errorf("set the limit of open files: %w", err)
	}
	if err := errors.Join(mountOne(mount{path: "/dev", kind: "devtmpfs"}), mountOne(mount{path: "/proc", kind: "proc"})); err != nil {
		return err
	}
	words, err := commandLine("/proc/cmdline")
	if err != nil {
		return err
	}
	if _, asked := words[probeWord]; asked {
		fmt.Println(probeAnswer)
		powerOff()
	}
	if err := loadDrivers(); err != nil {
		return err
	}
	if err := mountRoot(); err != nil {
		return err
	}
	if other := words[initWord]; strings.HasPrefix(other, "/") {
		if err := errors.Join(enterRoot(), mountOne(mount{path: "/dev", kind: "devtmpfs"})); err != nil {
			return err
		}
		return become(other)
	}
	settings, err := bringDirectory(words)
	if err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	prepareMachine()
	return handOver(settings)
}

// powerOff ends the machine, after the console has drained.
func powerOff() {
	<-time.After(drain)
	unix.Sync()
	for _, how := range []int{unix.LINUX_REBOOT_CMD_POWER_OFF, unix.LINUX_REBOOT_CMD_RESTART} {
		_ = unix.Reboot(how) // the machine may know only one of them
	}
}

// commandLine reads the words of the kernel's command line; those without a value have
// an empty one.
func commandLine(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's command line: %w", err)
	}
	words := make(map[string]string)
	for word := range strings.FieldsSeq(string(content)) {
		name, value, _ := strings.Cut(word, "=")
		words[name] = value
	}
	return words, nil
}

// loadDrivers loads the drivers of disk and network.
func loadDrivers() error {
	order, err := os.ReadFile(driversOrder)
	if err != nil {
		return fmt.Errorf("load drivers: %w", err)
	}
	for name := range strings.FieldsSeq(string(order)) {
		image, err := os.ReadFile(filepath.Join(driversPath, name))
		if err == nil {
			err = unix.InitModule(image, "")
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load driver %s: %w", name, err)
		}
	}
	return os.RemoveAll(driversPath)
}

// mountRoot waits for the disk and mounts it.
func mountRoot() error {
	const timeout, pollEvery = 5 * time.Second, 10 * time.Millisecond
	for deadline := time.Now().Add(timeout); ; <-time.After(pollEvery) {
		info, err := os.Stat(disk)
		if err == nil && info.Mode().Type() == os.ModeDevice {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("there is no root disk: %s did not appear in %s", disk, timeout)
		}
	}
	// Reading a file must not write to it: every clone would pay for its own copy. Nor
	// shall each clone go on with what the kernel prepares in the background.
	const options = "noinit_itable,no_prefetch_block_bitmaps"
	if err := unix.Mount(disk, newRoot, "ext4", unix.MS_NOATIME, options); err != nil {
		return fmt.Errorf("mount %s as ext4: %w", disk, err)
	}
	complain(growRoot(disk, newRoot)) // the guest boots with the size that it has
	return nil
}

// enterRoot makes the disk the root directory, and drops what the initramfs leaves.
func enterRoot() error {
	for _, path := range []string{"/proc", "/dev"} {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s of the initramfs: %w", path, err)
		}
	}
	if err := os.Remove("/init"); err != nil {
		return fmt.Errorf("remove the initramfs: %w", err)
	}
	if err := os.Chdir(newRoot); err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make the disk the root file system: %w", err)
	}
	if err := errors.Join(unix.Chroot("."), os.Chdir("/")); err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	return nil
}
