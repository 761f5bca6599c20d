package vmmtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// changeFiles makes files of each kind, changes some of the image and removes others.
// listFiles describes them.
const (
	changeFiles = `set -e
mkdir -p /opt/made/empty; cd /opt/made; echo new > file; ln file second; ln -s file link; mkfifo pipe
chown 1000:1000 file; chmod 4755 file; touch -d 2020-01-02T03:04:05 second; head -c 3000000 /dev/urandom > noise
echo more >> /etc/services; rm /etc/networks; rm -r /etc/apt; mkdir /etc/apt; echo own > /etc/apt/mine; mv /etc/gai.conf /etc/moved; sync`
	listFiles = `cd /opt/made; find . | sort | xargs stat -c '%n %F %a %u %g %h'; stat -c %Y second; readlink link; sha256sum noise file
tail -1 /etc/services; ls -a /etc/apt; test ! -e /etc/networks; test ! -e /etc/gai.conf; sha256sum /etc/moved`
)

// layeredOnly skips a case for drivers whose disks are written to.
func (s *suite) layeredOnly(t *testing.T) {
	t.Helper()
	if !s.layered {
		t.Skip("the driver's disks have no layers")
	}
}

// bootWith boots a machine from the suite's disk and a layer.
func (s *suite) bootWith(t *testing.T, layerPath string) *guest {
	t.Helper()
	g := s.prepare(t, s.rootfs)
	require.NoError(t, disk.CreateSparse(g.memoryPath, memoryMiB<<20))
	machine, err := s.driver.Boot(t.Context(), g.spec, vmm.Boot{LayerPath: layerPath})
	g.owns(t, machine, err)
	g.awaitAgent(t)
	return g
}

// testLayer saves a layer of a machine that was restored, and boots with it, twice: the
// second layer holds what the first had.
func (s *suite) testLayer(t *testing.T) {
	s.layeredOnly(t)
	g := s.restore(t, s.base(t))
	g.run(t, changeFiles)
	for range 2 {
		want := g.run(t, listFiles)
		g.pause(t)
		saver, can := g.machine.(vmm.LayerSaver)
		require.True(t, can)
		layer := filepath.Join(s.directory(t), "layer")
		require.NoError(t, saver.SaveLayer(t.Context(), layer))
		g.resume(t)
		require.Equal(t, want, g.run(t, listFiles), "the guest runs on")
		g.end(t)
		g = s.bootWith(t, layer)
		require.Equal(t, want, g.run(t, listFiles))
		require.Equal(t, "booted", g.run(t, "cat "+diskSign))
		g.run(t, "test ! -e "+memorySign)
	}
	require.Error(t, g.machine.(vmm.LayerSaver).SaveLayer(t.Context(), filepath.Join(s.directory(t), "missing", "layer")))
}

// testLayerLimit fills the layer, and wants the guest, and no one else, to notice.
func (s *suite) testLayerLimit(t *testing.T) {
	s.layeredOnly(t)
	g := s.restore(t, s.base(t))
	require.Contains(t, g.run(t, "head -c 200M /dev/zero 2>&1 >/root/large; true"), "No space left")
	g.run(t, "rm /root/large; echo fits > /root/small; test $(cat /root/small) = fits")
	var held int64
	for _, opened := range g.descriptors(t) {
		if opened.Mode().IsRegular() && !os.SameFile(opened, statOf(t, g.spec.DiskPath)) {
			held = max(held, opened.Size())
		}
	}
	require.Positive(t, held)
}

func statOf(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info
}
