package image_test

import (
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// openStore opens a store that may use registries.
func openStore(t *testing.T, registries ...*imagetest.Registry) *image.Store {
	t.Helper()
	config := image.StoreConfig{
		BlobDir: t.TempDir(), DiskDir: t.TempDir(), BlobBytes: 1 << 30, DiskBytes: 1 << 30, Log: slog.New(slog.DiscardHandler),
	}
	for _, one := range registries {
		config.Registries.Insecure = append(config.Registries.Insecure, one.Host)
	}
	store, err := image.Open(config)
	require.NoError(t, err)
	return store
}

// content reads a file of a disk.
func content(t *testing.T, disk, path string) string {
	t.Helper()
	output, err := exec.Command("debugfs", "-R", "cat "+path, disk).Output()
	require.NoError(t, err)
	return string(output)
}

const diskMiB = 128

// makeDisk resolves an image and makes a disk of it.
func makeDisk(t *testing.T, store *image.Store, source image.Source) (disk string, found *image.Image, progress []image.Progress) {
	t.Helper()
	found, err := store.Resolve(t.Context(), source, image.DefaultPlatform)
	require.NoError(t, err)
	disk = filepath.Join(t.TempDir(), "disk")
	err = store.WriteDisk(t.Context(), found, disk, image.DiskOptions{MiB: diskMiB, Progress: func(p image.Progress) { progress = append(progress, p) }})
	require.NoError(t, err)
	output, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput()
	require.NoError(t, err, string(output))
	return disk, found, progress
}

func TestStore_MakesADiskOfAnImage(t *testing.T) {
	registry := imagetest.Serve(t)
	reference := registry.Push(t, "team/app:1", imagetest.Image(t,
		v1.Config{User: "app:web", WorkingDir: "/srv", Env: []string{"A=b"}, Entrypoint: []string{"/run"}, Cmd: []string{"serve"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}},
		imagetest.Layer(t, imagetest.Gzip, imagetest.Archive(t, imagetest.Directory("etc"), imagetest.File("etc/name", 0o644, "lower"), imagetest.File("etc/gone", 0o644, ""))),
		imagetest.Layer(t, imagetest.Zstd, imagetest.Archive(t, imagetest.File("etc/name", 0o644, "upper"), imagetest.File("etc/.wh.gone", 0, ""))),
		imagetest.Layer(t, imagetest.Plain, imagetest.Archive(t, imagetest.File("run", 0o755, "#!/bin/sh\n"))),
	))
	store := openStore(t, registry)
	disk, found, progress := makeDisk(t, store, image.Source{Reference: reference})
	require.Equal(t, "upper", content(t, disk, "/etc/name"))
	require.Equal(t, "#!/bin/sh\n", content(t, disk, "/run"))
	require.Equal(t, image.Config{
		User: "app:web", WorkingDir: "/srv", Env: []string{"A=b"}, Entrypoint: []string{"/run"}, Cmd: []string{"serve"}, ExposedPorts: []string{"80/tcp"},
	}, found.Config)
	require.Contains(t, progress, image.Progress{Stage: image.Pulling, Layer: 3, Layers: 3, Bytes: found.Layers[2].Size, TotalBytes: found.Layers[2].Size})
	require.Contains(t, progress, image.Progress{Stage: image.Unpacking, Layer: 3, Layers: 3, Bytes: found.Layers[2].Size, TotalBytes: found.Layers[2].Size})

	_, again, progress := makeDisk(t, store, image.Source{Reference: reference})
	require.Equal(t, found.Digest, again.Digest)
	require.Empty(t, progress, "the disk is in the cache")
}
