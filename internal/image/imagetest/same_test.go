package imagetest_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/image/rootfs"
)

// describe returns a line for each file below a directory: all that it has.
func describe(t *testing.T, root string) []string {
	t.Helper()
	var lines []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." || name == "lost+found" {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		line := fmt.Sprintf("%s mode %o owner %d:%d links %d time %d", name, stat.Mode, stat.Uid, stat.Gid, stat.Nlink, stat.Mtim.Sec)
		switch {
		case entry.Type().IsRegular():
			sum, err := sumFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" size %d sum %x", stat.Size, sum)
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " to " + target
		case entry.Type()&fs.ModeDevice != 0:
			line += fmt.Sprintf(" device %d", stat.Rdev)
		}
		value := make([]byte, 100)
		if n, err := unix.Lgetxattr(path, "security.capability", value); err == nil {
			line += fmt.Sprintf(" capability %x", value[:n])
		}
		lines = append(lines, line)
		return nil
	}))
	slices.Sort(lines)
	return lines
}

func sumFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}

// extract has tar unpack a packed archive.
func extract(t *testing.T, packed string) string {
	t.Helper()
	root := t.TempDir()
	file, err := os.Open(packed)
	require.NoError(t, err)
	defer file.Close()
	reader, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer reader.Close()
	command := exec.Command("tar", "-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", root)
	command.Stdin = reader
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	return root
}

func TestDebian_IsFileForFileWhatTarUnpacks(t *testing.T) {
	skipWithoutRoot(t)
	registry := imagetest.Serve(t)
	store := newStore(t, registry)
	reference := registry.Push(t, "debian/systemd:1", imagetest.DebianSystemd(t))
	want := describe(t, extract(t, filepath.Join(os.Getenv(imagetest.Variable), string(imagetest.SystemdDebian)+".tar.zst")))
	require.Greater(t, len(want), 5000)
	for _, format := range []rootfs.Format{rootfs.Ext4, rootfs.EROFS} {
		disk := makeDiskOf(t, store, reference, image.DiskOptions{Format: format, MiB: 2048})
		at := t.TempDir()
		output, err := exec.Command("mount", "-o", "loop,ro", "-t", string(format), disk, at).CombinedOutput()
		require.NoError(t, err, string(output))
		t.Cleanup(func() { require.NoError(t, unix.Unmount(at, 0)) })
		got := describe(t, at)
		for i := range min(len(want), len(got)) {
			require.Equal(t, want[i], got[i], format)
		}
		require.Len(t, got, len(want), strings.Join(got[min(len(got), len(want)):], "\n"))
	}
}
