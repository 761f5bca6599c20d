// The lab runs the suites of VMM drivers on a host that has KVM, on any machine: a
// virtual machine under software emulation whose emulated CPU can virtualise. In it
// Debian's kernel has a working /dev/kvm, and VMMs run real guests on that.
//
// Usage: lab [flags] SUITE.test...
//
// It needs root, QEMU and the packages that guest images are built with. What
// the suites need is put on a disk made on the fly; the machine has no network.
//
// Each few cases get a fresh host: emulated hosts that run nested guests for many
// minutes have been seen to hang in a soft lockup. A host that hangs is ended, and its
// cases are run once more on another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

// options are the flags and arguments.
type options struct {
	suites       []string // paths of test binaries
	cases        string   // a regular expression
	casesPerHost int
	envdPath     string
	limits       limits
}

func main() {
	const (
		casesPerHost = 4
		hostTimeout  = 9 * time.Minute
		hostSilence  = 4 * time.Minute
	)
	var o options
	flag.StringVar(&o.cases, "cases", "", "a regular expression for the names of cases to run, such as Adopt; empty for all")
	flag.IntVar(&o.casesPerHost, "cases-per-host", casesPerHost, "how many cases a host runs before a fresh one is booted")
	flag.StringVar(&o.envdPath, "envd", "bin/envd", "the guest agent")
	flag.DurationVar(&o.limits.total, "host-timeout", hostTimeout, "when a host is ended")
	flag.DurationVar(&o.limits.silence, "host-silence", hostSilence, "when a host is ended that prints nothing")
	flag.Parse()
	o.suites = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// run builds the lab's disks, runs the suites on hosts that are booted from them, and
// removes the disks.
func run(ctx context.Context, o options, output io.Writer) (err error) {
	orders, err := plan(o, output)
	if err != nil {
		return err
	}
	directory, err := os.MkdirTemp("/var/tmp", "wrenn-lab-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	began := time.Now()
	h, err := build(ctx, o, directory)
	if err != nil {
		return fmt.Errorf("build the lab: %w", err)
	}
	fmt.Fprintf(output, "lab: built in %.0f s\n", time.Since(began).Seconds())
	var failures []error
	for number, each := range orders {
		fmt.Fprintf(output, "lab: host %d of %d: %s, %s\n", number+1, len(orders), each.suite, strings.Join(each.cases, ", "))
		if err := h.carryOut(ctx, each, output); err != nil {
			failures = append(failures, fmt.Errorf("%s, %s: %w", each.suite, strings.Join(each.cases, ", "), err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Fprintf(output, "lab: ended after %.0f s\n", time.Since(began).Seconds())
	return errors.Join(failures...)
}

// carryOut runs an order on a fresh host, and once more on another if the host hangs:
// that is the emulator's fault as long as it does not happen twice.
func (h host) carryOut(ctx context.Context, o order, output io.Writer) error {
	command, err := h.commandLine(o)
	if err != nil {
		return err
	}
	err = runHost(ctx, command, h.limits, output)
	if errors.Is(err, errHung) && ctx.Err() == nil {
		fmt.Fprintf(output, "lab: %v\nlab: once more, on a fresh host\n", err)
		err = runHost(ctx, command, h.limits, output)
	}
	return err
}

// order is what one host runs.
type order struct {
	suite string // file name of a test binary
	cases []string
}

// flags are those of the test binary.
func (o order) flags(timeout time.Duration) []string {
	pattern := "^TestDriver$/^(" + strings.Join(o.cases, "|") + ")$"
	return []string{"-test.v", "-test.timeout=" + timeout.String(), "-test.run=" + pattern}
}

// plan divides the cases of each suite among hosts. Firecracker's suite is left out
// where Firecracker is not installed.
func plan(o options, output io.Writer) ([]order, error) {
	if len(o.suites) == 0 {
		return nil, errors.New("no suite to run; try: make lab-test")
	}
	wanted, err := regexp.Compile(o.cases)
	if err != nil {
		return nil, fmt.Errorf("-cases: %w", err)
	}
	var names []string
	for _, name := range vmmtest.Cases() {
		if wanted.MatchString(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no case matches %q: there are %s", o.cases, strings.Join(vmmtest.Cases(), ", "))
	}
	var orders []order
	for _, suite := range o.suites {
		if name := filepath.Base(suite); strings.HasPrefix(name, firecracker.Binary) {
			if err := firecracker.CheckInstalled(); errors.Is(err, firecracker.ErrNotInstalled) {
				fmt.Fprintln(output, "lab: Firecracker is not tested:", err)
				continue
			}
			fmt.Fprint(output, "lab: with ", firecrackerVersion())
		}
		orders = append(orders, divide(filepath.Base(suite), names, o.casesPerHost)...)
	}
	return orders, nil
}

func divide(suite string, names []string, perHost int) []order {
	var orders []order
	for len(names) > 0 {
		count := min(max(perHost, 1), len(names))
		orders = append(orders, order{suite, names[:count]})
		names = names[count:]
	}
	return orders
}

func firecrackerVersion() string {
	output, err := exec.Command(firecracker.Binary, "--version").Output()
	if err != nil {
		return err.Error() + "\n"
	}
	first, _, _ := strings.Cut(string(output), "\n")
	return first + "\n"
}
