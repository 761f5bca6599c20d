package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// part is what can be measured by itself.
type part struct {
	name    string
	measure func(context.Context, options, *measurements) error
}

// parts are in the order in which they are measured.
var parts = []part{
	{"api", measureAPI},
	{"cold", installed("0", measureCold)},
	{"warm", installed("5", func(ctx context.Context, wrenn *installation.Installation, o options, into *measurements) error {
		return measureWarm(ctx, wrenn, o.rounds, into)
	})},
}

// chooseParts reads names that are separated by commas; none means all.
func chooseParts(names string) ([]part, error) {
	if names == "" {
		return parts, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return nil, fmt.Errorf("-only: there is no part %q", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return !slices.Contains(wanted, p.name) }), nil
}

// installed measures in an installation of its own, which holds guests ready in
// so many percent of the memory.
func installed(
	warmPercent string, measure func(context.Context, *installation.Installation, options, *measurements) error,
) func(context.Context, options, *measurements) error {
	return func(ctx context.Context, o options, into *measurements) (err error) {
		steps, ctx := boot.New(ctx)
		defer func() { err = errors.Join(err, steps.Stop(context.WithoutCancel(ctx))) }()
		wrenn, err := installation.New(o.output)
		if err != nil {
			return err
		}
		steps.OnStop("remove the installation", func(context.Context) error { return wrenn.Remove() })
		fmt.Fprintln(os.Stderr, "starting Wrenn in", wrenn.DataDir)
		wrenn.Settings = []string{"WRENN_WARM_MEMORY_PERCENT=" + warmPercent}
		if err := steps.Step(ctx, "start Wrenn", wrenn.Up); err != nil {
			return err
		}
		steps.OnStop("stop Wrenn", wrenn.Down)
		return measure(ctx, wrenn, o, into)
	}
}
