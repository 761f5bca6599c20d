package rootfs_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
)

const testUser = 1<<30 - 1

const testUUID = "0d1b6c8f-2a77-4b7a-9a51-6f0d5c9e3c0e"

// file is an entry of a layer.
type file struct {
	tar.Header
	content string
}

func regular(name, content string) file {
	return file{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func directory(name string) file {
	return file{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func link(kind byte, name, target string) file {
	return file{tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func archive(t *testing.T, files ...file) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, one := range files {
		header := one.Header
		if header.ModTime.IsZero() {
			header.ModTime = time.Unix(1700000000, 0)
		}
		require.NoError(t, writer.WriteHeader(&header))
		_, err := writer.Write([]byte(one.content))
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

// layer writes a gzipped layer to a file.
func layer(t *testing.T, content []byte) rootfs.Layer {
	t.Helper()
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return stored(t, packed.Bytes(), content)
}

// stored writes a layer to a file; content is the layer unpacked.
func stored(t *testing.T, packed, content []byte) rootfs.Layer {
	t.Helper()
	target, err := os.CreateTemp(t.TempDir(), "layer-")
	require.NoError(t, err)
	t.Cleanup(func() { target.Close() })
	_, err = target.Write(packed)
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	return rootfs.Layer{File: target, DiffID: hex.EncodeToString(sum[:])}
}

func options(layers ...rootfs.Layer) rootfs.Options {
	return rootfs.Options{Layers: layers, DiskMiB: 256, UUID: testUUID, Limits: rootfs.DefaultLimits, User: testUser}
}

// write makes a disk and checks it once more.
func write(t *testing.T, options rootfs.Options) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, rootfs.Write(t.Context(), target, options))
	output, err := exec.Command("e2fsck", "-fn", target).CombinedOutput()
	require.NoError(t, err, string(output))
	return target
}

// debugfs runs a command on a disk.
func debugfs(t *testing.T, disk, request string) string {
	t.Helper()
	var complaints strings.Builder
	command := exec.Command("debugfs", "-R", request, disk)
	command.Stderr = &complaints
	output, err := command.Output()
	require.NoError(t, err, complaints.String())
	return string(output)
}

func TestWrite_HasTheFilesOfAllLayers(t *testing.T) {
	disk := write(t, options(
		layer(t, archive(t, directory("etc"), regular("etc/hosts", "one"), regular("etc/gone", "x"), link(tar.TypeSymlink, "lib", "usr/lib"))),
		layer(t, archive(t, regular("etc/.wh.gone", ""), regular("lib/libc.so", "library"), link(tar.TypeLink, "etc/same", "etc/hosts"))),
	))
	require.Equal(t, "one", debugfs(t, disk, "cat /etc/hosts"))
	require.Equal(t, "one", debugfs(t, disk, "cat /etc/same"))
	require.Equal(t, "library", debugfs(t, disk, "cat /usr/lib/libc.so"))
	require.NotContains(t, debugfs(t, disk, "ls /etc"), "gone")
}
