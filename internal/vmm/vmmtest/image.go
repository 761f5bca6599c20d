package vmmtest

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/template"
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
	cacheDir = "/var/cache/wrenn"
	diskMiB  = 4096
)

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
	image, err := BuildImage(t)
	require.NoError(t, err, "build the guest image")
	return image
}

// BuildImage builds the image of the suite, or finds it in the cache.
func BuildImage(t *testing.T) (template.Image, error) {
	t.Helper()
	// A driver's tests run in its own directory, internal/vmm/<driver>.
	agent, err := filepath.Abs("../../../bin/envd")
	require.NoError(t, err)
	require.FileExists(t, agent, "run: make build")
	return template.BuildImage(t.Context(), ImageOptions(agent, func(line string) { t.Log(line) },
		slog.New(slog.NewTextHandler(os.Stderr, nil))))
}

// ImageOptions says what the image of the suite is made of, agent being the
// path of the guest agent's binary.
func ImageOptions(agent string, progress func(line string), log *slog.Logger) template.ImageOptions {
	return template.ImageOptions{CacheDir: cacheDir, EnvdPath: agent, DiskMiB: diskMiB, Progress: progress, Log: log}
}
