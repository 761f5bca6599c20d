// The lab runs test binaries on a host that has KVM, on any machine: a virtual
// machine under software emulation whose emulated CPU can virtualise. In it
// Debian's kernel has a working /dev/kvm, and VMMs run real guests on that.
//
// Usage: lab [flags] SUITE.test...
//
// It needs root, QEMU and the packages that guest images are built with. What
// the suites need is put on a disk made on the fly; the machine has no network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// options is what the command line says.
type options struct {
	suites    []string // paths of test binaries
	testFlags string   // for each of them, as the shell splits words
	envdPath  string
	timeout   time.Duration
}

func main() {
	const defaultTimeout = 25 * time.Minute
	var o options
	flag.StringVar(&o.testFlags, "flags", "", "flags for the test binaries, such as '-test.run Adopt'")
	flag.StringVar(&o.envdPath, "envd", "bin/envd", "the guest agent")
	flag.DurationVar(&o.timeout, "timeout", defaultTimeout, "when to give up")
	flag.Parse()
	o.suites = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	passed, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
	if !passed {
		os.Exit(1)
	}
}

// run builds the lab's host, runs the suites there and removes it. It returns
// whether all of them passed.
func run(ctx context.Context, o options) (passed bool, err error) {
	if len(o.suites) == 0 {
		return false, errors.New("no suite to run; try: make lab-test")
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	directory, err := os.MkdirTemp("/var/tmp", "wrenn-lab-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	began := time.Now()
	host, err := build(ctx, o, directory)
	if err != nil {
		return false, fmt.Errorf("build the lab: %w", err)
	}
	fmt.Printf("lab: built in %.0f s; booting\n", time.Since(began).Seconds())
	passed, err = host.run(ctx, os.Stdout)
	fmt.Printf("lab: ended after %.0f s\n", time.Since(began).Seconds())
	return passed, err
}
