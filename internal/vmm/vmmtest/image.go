package vmmtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/testhost"
)

// ImageVariable names a directory with a guest image in it, for machines that
// cannot build one: the kernel, the initramfs and the root file system, under
// the names below. Without it the image is built, or found in the cache.
const ImageVariable = "WRENN_TEST_IMAGE"

// Files of a directory that ImageVariable names.
const (
	KernelFile    = "vmlinuz"
	InitramfsFile = "initramfs.cpio"
	RootfsFile    = "rootfs.ext4"
)

const (
	// CacheDir is where guest images are kept between runs.
	CacheDir = "/var/cache/wrenn"
	diskMiB  = 4096
)

// Main runs a package's tests in a host of their own. The guest image is built before:
// its packages come from the internet, which that host does not reach.
func Main(m testhost.Tests, steps ...testhost.Step) int {
	return testhost.Main(m, append(steps, prepareImage)...)
}

func prepareImage(string) ([]string, error) {
	if os.Getenv(ImageVariable) != "" {
		return nil, nil
	}
	agent, err := findAgent()
	if err != nil {
		return nil, nil //nolint:nilerr // each test that needs the agent says so
	}
	_, err = template.BuildImage(context.Background(), ImageOptions(agent,
		func(line string) { fmt.Fprintln(os.Stderr, line) }, slog.New(slog.NewTextHandler(os.Stderr, nil))))
	return nil, err
}

// findImage returns the image that every machine of the suite starts from.
func findImage(t *testing.T) template.Image {
	t.Helper()
	if directory := os.Getenv(ImageVariable); directory != "" {
		return template.Image{
			KernelPath:    filepath.Join(directory, KernelFile),
			InitramfsPath: filepath.Join(directory, InitramfsFile),
			RootfsPath:    filepath.Join(directory, RootfsFile),
		}
	}
	agent, err := findAgent()
	require.NoError(t, err)
	image, err := template.BuildImage(t.Context(), ImageOptions(agent,
		func(line string) { t.Log(line) }, slog.New(slog.NewTextHandler(os.Stderr, nil))))
	require.NoError(t, err, "find the guest image")
	return image
}

// findAgent returns the guest agent's binary: bin/envd in the nearest directory
// upwards from the test's own.
func findAgent() (string, error) {
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(directory, "bin", "envd")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", errors.New("there is no bin/envd: run make build")
		}
		directory = parent
	}
}

// ImageOptions says what the image of the suite is made of, agent being the
// path of the guest agent's binary.
func ImageOptions(agent string, progress func(line string), log *slog.Logger) template.ImageOptions {
	return template.ImageOptions{CacheDir: CacheDir, EnvdPath: agent, DiskMiB: diskMiB, Progress: progress, Log: log}
}
