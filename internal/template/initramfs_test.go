package template

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// fakeKernel lays out an unpacked kernel package: modules by path, with what
// each depends on.
func fakeKernel(t *testing.T, modules map[string]string, builtin string) string {
	t.Helper()
	unpacked := t.TempDir()
	root := filepath.Join(unpacked, "lib", "modules", "6.1-test")
	require.NoError(t, os.MkdirAll(filepath.Join(unpacked, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(unpacked, "bin", "busybox"), []byte("busybox"), 0o755))
	require.NoError(t, os.MkdirAll(root, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "modules.builtin"), []byte(builtin), 0o644))
	for path, depends := range modules {
		content := []byte("ELF\x00license=GPL\x00depends=" + depends + "\x00vermagic=6.1\x00")
		if filepath.Ext(path) == ".zst" {
			content = compress(t, content)
		}
		target := filepath.Join(root, "kernel", path)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		require.NoError(t, os.WriteFile(target, content, 0o644))
	}
	return unpacked
}

func compress(t *testing.T, content []byte) []byte {
	t.Helper()
	var compressed bytes.Buffer
	writer, err := zstd.NewWriter(&compressed)
	require.NoError(t, err)
	_, err = writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return compressed.Bytes()
}

func TestFindModules_PutsEachBehindWhatItNeeds(t *testing.T) {
	unpacked := fakeKernel(t, map[string]string{
		"net/virtio_net.ko":         "net_failover,virtio_ring",
		"net/net_failover.ko":       "failover",
		"net/failover.ko":           "",
		"drivers/virtio-ring.ko":    "",
		"drivers/virtio-rng.ko.zst": "",
	}, "kernel/fs/ext4/ext4.ko\n")
	found, err := findModules(unpacked, []string{"virtio_net", "virtio-rng", "ext4", "failover"})
	require.NoError(t, err)
	var names []string
	for _, m := range found {
		names = append(names, m.name)
		require.True(t, bytes.HasPrefix(m.content, []byte("ELF")), "%s is decompressed", m.name)
	}
	require.Equal(t, []string{"failover.ko", "net_failover.ko", "virtio_ring.ko", "virtio_net.ko", "virtio_rng.ko"}, names)
}

func TestFindModules_NamesTheOneThatIsMissing(t *testing.T) {
	_, err := findModules(fakeKernel(t, nil, ""), []string{"virtio_net"})
	require.ErrorContains(t, err, "no module virtio_net")
}

func TestWriteInitramfs_HoldsWrennsDirectoryAndTheModulesInOrder(t *testing.T) {
	every := map[string]string{}
	for _, name := range initramfsModules {
		every["drivers/"+name+".ko"] = ""
	}
	path := filepath.Join(t.TempDir(), "initramfs")
	require.NoError(t, writeInitramfs(path, fakeKernel(t, every, ""), directory{
		{path: "bin/envd", mode: 0o755, content: []byte("agent")}, {path: "bin/modprobe", link: "envd"}, {path: "modules.zip", mode: 0o644},
	}))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	contents, modes := map[string]string{}, map[string]cpio.FileMode{}
	for archive := cpio.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		contents[header.Name], modes[header.Name] = string(content)+header.Linkname, header.Mode
	}
	require.Equal(t, "wrenn/bin/envd", contents["init"])
	require.Equal(t, "agent", contents["wrenn/bin/envd"])
	require.Equal(t, cpio.FileMode(cpio.TypeReg|0o755), modes["wrenn/bin/envd"])
	require.Equal(t, "envd", contents["wrenn/bin/modprobe"])
	require.Equal(t, cpio.FileMode(cpio.TypeSymlink|0o777), modes["wrenn/bin/modprobe"])
	require.Contains(t, contents, "wrenn/modules.zip")
	require.True(t, modes["wrenn/bin"].IsDir())
	require.Equal(t, "virtio_ring.ko\nvirtio.ko\nvirtio_mmio.ko\nvirtio_blk.ko\nfailover.ko\nnet_failover.ko\nvirtio_net.ko\nvirtio_rng.ko\next4.ko\n",
		contents["modules/order"])
	require.Contains(t, contents, "dev/console")
}
