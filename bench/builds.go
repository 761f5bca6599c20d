package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// benchDockerfile has five steps that each take a while, and one that a changed file makes
// run again.
const benchDockerfile = `FROM e2bdev/base
ARG ROUND
RUN echo "$ROUND" > /round
RUN head -c 32M /dev/urandom > /one
RUN python3 -m venv /opt/venv
RUN find /usr -type f | sort > /files
COPY last /last
RUN wc -l /files /last > /count
`

// layerDisk is the name of a layer's disk in its directory.
const layerDisk = "disk"

// mostBuildRounds bounds a part whose rounds take a minute under emulation.
const mostBuildRounds = 3

// measureBuilds builds a template, builds it once more, and builds it with another file in
// its last copy, in turns.
func measureBuilds(ctx context.Context, wrenn *installation.Installation, o options, into *measurements) (err error) {
	fmt.Fprintln(os.Stderr, "builds of templates")
	directory, err := os.MkdirTemp("", "wrenn-bench-build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte(benchDockerfile), 0o600); err != nil {
		return err
	}
	for round := range min(o.rounds, mostBuildRounds) {
		for _, one := range []struct {
			last string
			took *[]time.Duration
		}{{"a", &into.buildFirst}, {"a", &into.buildAgain}, {"b", &into.buildLast}} {
			content := fmt.Sprintf("%s %d\n", one.last, round)
			if err := os.WriteFile(filepath.Join(directory, "last"), []byte(content), 0o600); err != nil {
				return err
			}
			began := time.Now()
			command := wrenn.Command(ctx, "template", "build", directory, "--name", "bench", "--cpus", "1",
				"--build-arg", fmt.Sprintf("ROUND=%d", round))
			if output, err := command.CombinedOutput(); err != nil {
				return fmt.Errorf("build: %w: %s", err, output)
			}
			*one.took = append(*one.took, time.Since(began))
			if into.layers == 0 {
				if err := measureLayers(ctx, wrenn, into); err != nil {
					return fmt.Errorf("measure layers: %w", err)
				}
			}
		}
	}
	return nil
}

// measureLayers compares what the layers of the first build take on the disk with the files
// that its steps wrote. What layers share counts once.
func measureLayers(ctx context.Context, wrenn *installation.Installation, into *measurements) (err error) {
	disks, err := filepath.Glob(filepath.Join(storage(wrenn), "layers", "*", "disks", "*", layerDisk))
	if err != nil {
		return err
	}
	if len(disks) < 2 {
		return fmt.Errorf("%d layers are stored", len(disks))
	}
	made := make(map[string]time.Time)
	for _, path := range disks {
		info, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return err
		}
		made[path] = info.ModTime()
	}
	slices.SortFunc(disks, func(a, b string) int { return made[a].Compare(made[b]) })
	base, err := disk.UsedBytes(disks[0]) // the template that the build is from
	if err != nil {
		return err
	}
	all, err := disk.UsedBytes(disks...)
	if err != nil {
		return err
	}
	s, err := createFrom(ctx, wrenn, "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	listed, err := s.agent().Run(ctx, "du -xcsB1 /round /one /opt/venv /files /last /count | tail -n 1 | cut -f 1")
	if err != nil {
		return err
	}
	into.layersWritten, err = strconv.ParseFloat(strings.TrimSpace(string(listed.Stdout)), 64)
	into.layersStored, into.layers = float64(all-base), len(disks)-1
	return err
}
