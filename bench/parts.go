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

// part is a group of measurements that can be chosen by name.
type part struct {
	name    string
	measure func(context.Context, options, *measurements) error
}

// parts are in the order of measurement.
var parts = []part{
	{"api", measureAPI},
	{"cold", installed("0", measureCold)},
	{"warm", installed("5", func(ctx context.Context, wrenn *installation.Installation, o options, into *measurements) error {
		return measureWarm(ctx, wrenn, o.rounds, into)
	})},
	{"builds", measureTemplates},
	{"readahead", installed("0", measureReadahead)},
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

// measureTemplates measures builds in an installation that takes images from a registry of
// this process.
func measureTemplates(ctx context.Context, o options, into *measurements) error {
	images, err := serveImages()
	if err != nil {
		return err
	}
	defer images.close()
	return installed("0", func(ctx context.Context, wrenn *installation.Installation, o options, into *measurements) error {
		if err := measureBuilds(ctx, wrenn, o, into); err != nil {
			return err
		}
		return measureImages(ctx, wrenn, images, o, into)
	}, "WRENN_INSECURE_REGISTRIES="+images.host)(ctx, o, into)
}

// installed returns a measurement in an installation of its own with some settings, which
// uses the given share of the memory for guests that are held ready.
func installed(
	warmPercent string, measure func(context.Context, *installation.Installation, options, *measurements) error, settings ...string,
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
		wrenn.Settings = append([]string{"WRENN_WARM_MEMORY_PERCENT=" + warmPercent}, settings...)
		if err := steps.Step(ctx, "start Wrenn", wrenn.Up); err != nil {
			return err
		}
		steps.OnStop("stop Wrenn", wrenn.Down)
		return measure(ctx, wrenn, o, into)
	}
}
