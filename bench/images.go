package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// images is a registry on loopback with one image: Debian's smallest system.
type images struct {
	server *httptest.Server
	host   string
	debian v1.Image
}

func serveImages() (*images, error) {
	prepared, err := imagetest.Prepare(imagetest.MinimalDebian)("")
	if err != nil {
		return nil, err
	}
	_, directory, _ := strings.Cut(prepared[0], "=")
	debian, err := imagetest.ReadDebian(directory, imagetest.MinimalDebian)
	if err != nil {
		return nil, err
	}
	server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
	return &images{server: server, host: strings.TrimPrefix(server.URL, "http://"), debian: debian}, nil
}

func (i *images) close() { i.server.Close() }

// push stores an image that no earlier round has pulled: its layer is known from then on, and
// its disk is not.
func (i *images) push(round int) (reference string, err error) {
	config, err := i.debian.ConfigFile()
	if err != nil {
		return "", err
	}
	other := config.Config
	other.Env = append(append([]string{}, other.Env...), fmt.Sprintf("ROUND=%d", round))
	image, err := mutate.Config(i.debian, other)
	if err != nil {
		return "", err
	}
	reference = fmt.Sprintf("%s/debian:%d", i.host, round)
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", err
	}
	return reference, remote.Write(parsed, image)
}

// measureImages makes a sandbox of an image that the host has never seen, in turns with one of
// a base that it has: both are built without steps, booted and snapshotted.
func measureImages(ctx context.Context, wrenn *installation.Installation, from *images, o options, into *measurements) (err error) {
	fmt.Fprintln(os.Stderr, "images")
	directory, err := os.MkdirTemp("", "wrenn-bench-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	for round := range min(o.rounds, mostBuildRounds) {
		reference, err := from.push(round)
		if err != nil {
			return err
		}
		dockerfile := fmt.Sprintf("FROM e2bdev/base\nENV ROUND=%d\n", round)
		if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
			return err
		}
		for _, side := range []struct {
			arguments []string
			took      *[]time.Duration
		}{
			{[]string{"template", "pull", reference, "--name", "bench-image", "--cpus", "1", "--memory", "512"}, &into.imageToSandbox},
			{[]string{"template", "build", directory, "--name", "bench-base", "--cpus", "1", "--memory", "512"}, &into.baseToSandbox},
		} {
			began := time.Now()
			if output, err := wrenn.Command(ctx, side.arguments...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", side.arguments[1], err, output)
			}
			if err := firstOutput(ctx, wrenn, side.arguments[len(side.arguments)-5]); err != nil {
				return err
			}
			*side.took = append(*side.took, time.Since(began))
		}
	}
	return nil
}

// firstOutput creates a sandbox and runs a command in it.
func firstOutput(ctx context.Context, wrenn *installation.Installation, template string) (err error) {
	s, err := createFrom(ctx, wrenn, template)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	return firstCommand(ctx, s.agent())
}
