// Bench measures the cost that Wrenn adds to a virtual machine: it does each operation
// through Wrenn and by hand, in turns, and compares the times.
//
// It runs the built wrenn in a data directory of its own and needs root.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

type options struct {
	rounds    int
	commands  int
	transfers int
	fleet     int
	only      string
	json      bool
	verbose   bool
	output    io.Writer // of wrenn up
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "how often each operation is measured")
	flag.IntVar(&o.commands, "commands", 20, "command round trips in each round")
	flag.IntVar(&o.transfers, "transfers", 5, "how often 100 MB are moved each way")
	flag.IntVar(&o.fleet, "fleet", 100, "how many sandboxes are created as fast as possible")
	flag.StringVar(&o.only, "only", "", "measure only these parts, separated by commas: api, cold, warm, builds, readahead")
	flag.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	flag.BoolVar(&o.verbose, "v", false, "print the output of wrenn up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.rounds < 1 || o.commands < 1 || o.transfers < 1 || o.fleet < 1 {
		return errors.New("-rounds, -commands, -transfers and -fleet must be at least 1")
	}
	o.output = io.Discard
	if o.verbose {
		o.output = os.Stderr
	}
	chosen, err := chooseParts(o.only)
	if err != nil {
		return err
	}
	measured := &measurements{}
	for _, part := range chosen {
		if err := part.measure(ctx, o, measured); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(measured.report())
	}
	return measured.report().print(os.Stdout)
}

// measureCold measures a Wrenn without guests that are held ready.
func measureCold(ctx context.Context, wrenn *installation.Installation, o options, measured *measurements) error {
	if err := measureTurns(ctx, wrenn, o, measured); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "\nforks")
	if err := measureForks(ctx, wrenn, o.rounds, measured); err != nil {
		return fmt.Errorf("measure forks: %w", err)
	}
	fmt.Fprintln(os.Stderr, "many sandboxes")
	if err := measureFleet(ctx, wrenn, o.fleet, measured); err != nil {
		return fmt.Errorf("measure many sandboxes: %w", err)
	}
	fmt.Fprintln(os.Stderr, "the guest agent by itself")
	if err := measureGuestAgent(ctx, wrenn, o.transfers, o.commands, measured); err != nil {
		return fmt.Errorf("measure the guest agent: %w", err)
	}
	binary, err := os.Stat(filepath.Join(filepath.Dir(wrenn.Binary), "envd"))
	if err != nil {
		return err
	}
	measured.agentSize = float64(binary.Size())
	return nil
}

// measureTurns alternates between both sides, so that other load on the machine slows
// both.
func measureTurns(ctx context.Context, wrenn *installation.Installation, o options, measured *measurements) (err error) {
	hand, err := prepareHand(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hand.close()) }()
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "\rround %d of %d", round+1, o.rounds)
		sides := []func() error{
			func() error { return hand.measure(ctx, measured) },
			func() error { return measureWrenn(ctx, wrenn, o.commands, measured) },
		}
		if round%2 == 1 {
			// Work that one side leaves to the kernel, such as writeback, slows the next.
			slices.Reverse(sides)
		}
		for _, measureSide := range sides {
			if err := measureSide(); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
		}
	}
	return nil
}
