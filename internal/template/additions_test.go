package template

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// emptyRootfs makes a small file system with one file in it.
func emptyRootfs(t *testing.T) string {
	t.Helper()
	root, rootfs := t.TempDir(), filepath.Join(t.TempDir(), "rootfs")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc", "hosts"), []byte("the distribution's"), 0o600))
	require.NoError(t, formatRootfs(t.Context(), root, rootfs, 8))
	return rootfs
}

func read(t *testing.T, rootfs, path string) string {
	t.Helper()
	content, err := exec.CommandContext(t.Context(), "debugfs", "-R", "cat "+path, rootfs).Output()
	require.NoError(t, err)
	return string(content)
}

func TestWriteDisk_LaysWhatWrennAddsOverTheSystem(t *testing.T) {
	directory, target := filepath.Join(t.TempDir(), "additions"), filepath.Join(t.TempDir(), "disk")
	require.NoError(t, writeAdditions(directory, []addition{
		{path: "/etc/hosts", mode: 0o440, content: []byte("ours")},
		{path: "/etc/a/b/empty", mode: 0o644},
		{path: "/usr/sbin/init", link: "../bin/busybox"},
	}))
	image := Image{RootfsPath: emptyRootfs(t), additions: directory}
	require.NoError(t, image.WriteDisk(t.Context(), target))
	require.Equal(t, "ours", read(t, target, "/etc/hosts"))
	require.Empty(t, read(t, target, "/etc/a/b/empty"))
	found, err := exec.CommandContext(t.Context(), "debugfs", "-R", "stat /usr/sbin/init", target).Output()
	require.NoError(t, err)
	require.Contains(t, string(found), `Fast link dest: "../bin/busybox"`)
	require.NoError(t, exec.CommandContext(t.Context(), "e2fsck", "-fn", target).Run(), "the file system is sound")
	require.Equal(t, "the distribution's", read(t, image.RootfsPath, "/etc/hosts"), "the system is shared")
}

func TestWriteDisk_SaysWhatDidNotFit(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "additions")
	require.NoError(t, writeAdditions(directory, []addition{{path: "/large", mode: 0o644, content: bytes.Repeat([]byte("x"), 16<<20)}}))
	image := Image{RootfsPath: emptyRootfs(t), additions: directory}
	require.ErrorContains(t, image.WriteDisk(t.Context(), filepath.Join(t.TempDir(), "disk")), "could not be written")
}

func TestWriteDisk_CopiesAnImageThatIsWhole(t *testing.T) {
	image, target := Image{RootfsPath: emptyRootfs(t)}, filepath.Join(t.TempDir(), "disk")
	require.NoError(t, image.WriteDisk(t.Context(), target))
	require.Equal(t, "the distribution's", read(t, target, "/etc/hosts"))
	_, err := os.Stat(target)
	require.NoError(t, err)
}

func TestArchiveNames_ReadsWhatAptPrints(t *testing.T) {
	require.Equal(t, []string{"linux-image-6.1_6.1.1_amd64.deb", "busybox-static_1%3a1.35_amd64.deb"}, archiveNames(
		"'http://deb.debian.org/l/linux-image-6.1_6.1.1_amd64.deb' linux-image-6.1_6.1.1_amd64.deb 26705532 SHA256:ab\n"+
			"'http://deb.debian.org/b/b.deb' busybox-static_1%3a1.35_amd64.deb 900 SHA256:cd\nfurther words\n"))
}

func TestRemoveOtherArchives_KeepsThoseInUse(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"new.deb", "old.deb", "lock"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), nil, 0o600))
	}
	require.NoError(t, removeOtherArchives(directory, []string{"new.deb"}))
	require.FileExists(t, filepath.Join(directory, "new.deb"))
	require.FileExists(t, filepath.Join(directory, "lock"))
	require.NoFileExists(t, filepath.Join(directory, "old.deb"))
}
