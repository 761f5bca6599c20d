package guestdisk

import (
	"archive/tar"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// layered makes a snapshot without memory of an empty image and a layer with one file.
func layered(t *testing.T, size int) *snapshot.Snapshot {
	t.Helper()
	d := Disks{layered: true, directoryPath: filepath.Join(t.TempDir(), "wrenn"), layerPath: filepath.Join(t.TempDir(), "layer")}
	require.NoError(t, os.WriteFile(d.directoryPath, []byte("image"), 0o600))
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, rootfs.Write(t.Context(), image, rootfs.Options{
		Format: d.Format(), DiskMiB: 64, UUID: "0d1b6c8f-2a77-4b7a-9a51-6f0d5c9e3c0e", Limits: rootfs.DefaultLimits, User: rootfs.DefaultUser,
	}))
	file, err := os.Create(d.layerPath)
	require.NoError(t, err)
	defer file.Close()
	archive := tar.NewWriter(file)
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i%250) + 1
	}
	require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./changed", Mode: 0o644, Size: int64(size)}))
	_, err = archive.Write(content)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	made, err := snapshot.TakeTransient(t.Context(), d.Source(image), snapshot.Manifest{DiskMiB: 64, DiskOnly: true}, filepath.Join(t.TempDir(), "snapshot"))
	require.NoError(t, err)
	return made
}

func share(t *testing.T, from *snapshot.Snapshot) Files {
	t.Helper()
	directory := t.TempDir()
	to := Files{filepath.Join(directory, "disk"), filepath.Join(directory, "wrenn"), filepath.Join(directory, "layer")}
	require.NoError(t, Share(t.Context(), from, to))
	return to
}

func requireSame(t *testing.T, same bool, one, other string) {
	t.Helper()
	first, err := os.Stat(one)
	require.NoError(t, err)
	second, err := os.Stat(other)
	require.NoError(t, err)
	require.Equal(t, same, os.SameFile(first, second), "%s and %s", one, other)
}

func TestShare_GivesAMachineTheSameFiles(t *testing.T) {
	from := layered(t, 1000)
	to := share(t, from)
	requireSame(t, true, from.DiskPath(), to.Disk)
	requireSame(t, true, from.DirectoryPath(), to.Directory)
	requireSame(t, true, from.LayerPath(), to.Layer)
}

func TestShare_MakesAnImageOfChangesThatAreTooLargeForMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts an image")
	}
	from := layered(t, 3<<20)
	to := share(t, from)
	requireSame(t, false, from.DiskPath(), to.Disk)
	requireSame(t, true, from.DirectoryPath(), to.Directory)
	layer, err := os.Stat(to.Layer)
	require.NoError(t, err)
	require.Less(t, layer.Size(), int64(10<<10), "no changes are left")
	at := t.TempDir()
	output, err := exec.Command("mount", "-t", "erofs", "-o", "loop,ro", to.Disk, at).CombinedOutput()
	require.NoError(t, err, string(output))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(at, 0)) })
	changed, err := os.Stat(at + "/changed")
	require.NoError(t, err)
	require.EqualValues(t, 3<<20, changed.Size())
}
