package imagetest_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
	"git.omukk.dev/wrenn/sandbox/internal/testhost"
)

func TestMain(m *testing.M) {
	os.Exit(testhost.Main(m, imagetest.Prepare(imagetest.Busybox, imagetest.MinimalDebian, imagetest.SystemdDebian)))
}

// debugfs runs a command on a disk.
func debugfs(t *testing.T, disk, request string) string {
	t.Helper()
	output, err := exec.Command("debugfs", "-R", request, disk).CombinedOutput()
	require.NoError(t, err)
	return string(output)
}

func newStore(t *testing.T, registry *imagetest.Registry) *image.Store {
	t.Helper()
	store, err := image.Open(image.StoreConfig{
		BlobDir: t.TempDir(), DiskDir: t.TempDir(), BlobBytes: 1 << 30, DiskBytes: 1 << 30,
		Registries: image.Registries{Insecure: []string{registry.Host}}, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return store
}

func makeDisk(t *testing.T, store *image.Store, reference string, diskMiB int) string {
	t.Helper()
	return makeDiskOf(t, store, reference, image.DiskOptions{Format: rootfs.Ext4, MiB: diskMiB})
}

func makeDiskOf(t *testing.T, store *image.Store, reference string, options image.DiskOptions) string {
	t.Helper()
	found, err := store.Resolve(t.Context(), image.Source{Reference: reference}, image.DefaultPlatform)
	require.NoError(t, err)
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, store.WriteDisk(t.Context(), found, disk, options))
	check := map[rootfs.Format]*exec.Cmd{
		rootfs.Ext4: exec.Command("e2fsck", "-fn", disk), rootfs.EROFS: exec.Command("fsck.erofs", "--extract", disk),
	}
	output, err := check[options.Format].CombinedOutput()
	require.NoError(t, err, string(output))
	return disk
}

func skipWithoutRoot(t *testing.T) {
	t.Helper()
	if os.Getenv(imagetest.Variable) == "" {
		t.Skip("needs root: prepares packages")
	}
}

func TestImages_BecomeDisks(t *testing.T) {
	skipWithoutRoot(t)
	registry := imagetest.Serve(t)
	store := newStore(t, registry)
	for name, small := range imagetest.Small(t) {
		t.Run(name, func(t *testing.T) {
			disk := makeDisk(t, store, registry.Push(t, "small/"+name+":1", small), 256)
			if name == "many-layers" {
				files := debugfs(t, disk, "ls -p /files")
				require.Equal(t, 2, strings.Count(files, "/100644/"), files)
				require.Contains(t, debugfs(t, disk, "cat /log"), "60")
				opaque := debugfs(t, disk, "ls -p /opaque")
				require.Contains(t, opaque, "/new/")
				require.NotContains(t, opaque, "/old/")
			}
		})
	}
	index := registry.PushIndex(t, "small/index:1", imagetest.MultiPlatform(t))
	require.Contains(t, debugfs(t, makeDisk(t, store, index, 256), "cat /etc/os-release"), "ID=musl")
}

func TestDebian_BecomesADisk(t *testing.T) {
	skipWithoutRoot(t)
	registry := imagetest.Serve(t)
	store := newStore(t, registry)
	for name, debian := range map[string]v1.Image{"debian": imagetest.Debian(t), "systemd": imagetest.DebianSystemd(t)} {
		disk := makeDisk(t, store, registry.Push(t, "debian/"+name+":1", debian), 2048)
		require.Contains(t, debugfs(t, disk, "stat /usr/bin/sudo"), "Mode:  04755")
		require.Contains(t, debugfs(t, disk, "stat /bin"), `Fast link dest: "usr/bin"`)
		require.Equal(t, name == "systemd", strings.Contains(debugfs(t, disk, "stat /usr/sbin/init"), "Type: symlink"))
	}
}
