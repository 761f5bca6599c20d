package vmmtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside tells the test binary that it runs in a host of its own.
const inside = "WRENN_TEST_HOST"

// Tests are a package's: a *testing.M, or what wraps one.
type Tests interface{ Run() int }

// Main runs a package's tests in a host of their own: network, mounts and
// processes are seen by nobody else, and nothing of them outlives the tests,
// however those end. Without root it only runs those that need none.
func Main(m Tests) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	if os.Getenv(inside) != "" {
		if err := furnishHost(); err != nil {
			fmt.Fprintln(os.Stderr, "make a host for the tests:", err)
			return 1
		}
		return m.Run()
	}
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Env = append(os.Environ(), inside+"=1")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	err := command.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		fmt.Fprintln(os.Stderr, "make a host for the tests:", err)
		return 1
	}
	return command.ProcessState.ExitCode()
}

func furnishHost() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to the tests: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("show only the tests' processes: %w", err)
	}
	const namespaces = "/run/netns"
	if err := os.MkdirAll(namespaces, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", namespaces, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("hide the machine's network namespaces: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(loopback)
}
