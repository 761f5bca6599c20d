package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// benchDockerfile has five steps that each take a while, and one that a changed file makes
// run again.
const benchDockerfile = `FROM e2bdev/base
ARG ROUND
RUN echo "$ROUND" > /round
RUN python3 -c "open('/one', 'wb').write(bytes(1 << 20) * 32)"
RUN python3 -m venv /opt/venv
RUN find /usr -type f | sort > /files
COPY last /last
RUN wc -l /files /last > /count
`

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
		}
	}
	return nil
}
