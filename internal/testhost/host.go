// Package testhost gives a package's tests a host of their own: network, mounts
// and processes that nothing else on the machine sees or changes. Another Wrenn
// that starts, runs or stops meanwhile is invisible to them, and nothing of
// theirs outlives them.
package testhost

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside tells the test binary which part of the tests' host it is: firstProcess,
// which starts the tests and reaps what they orphan, or theTests.
const (
	inside       = "WRENN_TEST_HOST"
	firstProcess = "first process"
	theTests     = "tests"
)

// Tests are a package's: a *testing.M, or what wraps one.
type Tests interface{ Run() int }

// Step prepares something that the tests need. It may put files into directory,
// which is removed after the tests, and returns what it adds to their environment,
// each as NAME=value.
type Step func(directory string) (environment []string, err error)

// Main runs a package's tests in a host of their own and returns their exit code.
// Without root it runs them on the machine itself: those that need root skip
// themselves.
//
// The host has no way to the internet. What the tests need of it is fetched by the
// steps, which run on the machine before.
func Main(m Tests, steps ...Step) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	switch os.Getenv(inside) {
	case firstProcess:
		return runFirstProcess()
	case theTests:
		return m.Run()
	}
	directory, err := os.MkdirTemp("", "wrenn-prepared-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare the tests:", err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(directory); err != nil {
			fmt.Fprintln(os.Stderr, "clear away what was prepared:", err)
		}
	}()
	environment := append(os.Environ(), inside+"="+firstProcess)
	for _, prepare := range steps {
		more, err := prepare(directory)
		if err != nil {
			fmt.Fprintln(os.Stderr, "prepare the tests:", err)
			return 1
		}
		environment = append(environment, more...)
	}
	return enter(environment)
}

// enter runs this binary again, in namespaces that end with it.
func enter(environment []string) int {
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Env = environment
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

// runFirstProcess is the host's init: without one, a VMM whose agent was killed
// would stay a zombie when it ends.
func runFirstProcess() int {
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "make a host for the tests:", err)
		return 1
	}
	if err := os.Setenv(inside, theTests); err != nil {
		fmt.Fprintln(os.Stderr, "start the tests:", err)
		return 1
	}
	tests, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the tests:", err)
		return 1
	}
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "wait for the tests:", err)
			return 1
		case ended == tests.Pid && status.Exited():
			return status.ExitStatus()
		case ended == tests.Pid:
			fmt.Fprintln(os.Stderr, "the tests were ended by", status.Signal())
			return 1
		}
	}
}

func furnish() error {
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
		return fmt.Errorf("find the tests' loopback: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring the tests' loopback up: %w", err)
	}
	return nil
}
