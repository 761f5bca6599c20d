package rootfs_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
)

// mount mounts a disk of ours until the test ends.
func mount(t *testing.T, disk string) string {
	t.Helper()
	return imagetest.Mount(t, "ext4", disk)
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var found unix.Stat_t
	require.NoError(t, unix.Lstat(path, &found), path)
	return found
}

func xattr(t *testing.T, path, name string) string {
	t.Helper()
	value := make([]byte, 8192)
	n, err := unix.Lgetxattr(path, name, value)
	require.NoError(t, err, "%s of %s", name, path)
	return string(value[:n])
}

// capability lets ping open raw sockets: version 2 of a capability, cap_net_raw+ep.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func TestWrite_KeepsEverythingThatAFileHas(t *testing.T) {
	long := strings.Repeat("long/", 40) + "target"
	files := []file{
		{tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o750, Uid: 7, Gid: 8}, ""},
		{tar.Header{Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "bin/su", Mode: 0o4755, Uid: 0, Gid: 70000, Size: 3}, "su\n"},
		{tar.Header{Typeflag: tar.TypeReg, Name: "owned", Mode: 0o600, Uid: 4000000000, Gid: 4000000001}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "short", Linkname: "bin/su", Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "long", Linkname: long, Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "edge59", Linkname: strings.Repeat("a", 59), Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "edge60", Linkname: strings.Repeat("a", 60), Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
		{tar.Header{Typeflag: tar.TypeBlock, Name: "dev/large", Mode: 0o660, Devmajor: 259, Devminor: 1048575}, ""},
		{tar.Header{Typeflag: tar.TypeFifo, Name: "run/pipe", Mode: 0o644}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "bin/ping", Mode: 0o755, PAXRecords: map[string]string{
			"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "small", "SCHILY.xattr.trusted.overlay.opaque": "y",
		}}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "noted", Mode: 0o644, PAXRecords: map[string]string{
			"SCHILY.xattr.user.large": strings.Repeat("x", 3000), "SCHILY.xattr.user.b": "2", "SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.empty": " ",
		}}, ""},
		{tar.Header{Typeflag: tar.TypeDir, Name: "noted.d", Mode: 0o755, PAXRecords: map[string]string{"SCHILY.xattr.user.dir": "yes"}}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "old", Mode: 0o644, ModTime: time.Date(1930, 1, 2, 3, 4, 5, 0, time.UTC)}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "new", Mode: 0o644, ModTime: time.Date(2399, 1, 2, 3, 4, 5, 678, time.UTC)}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "näme with \"quotes\"\nand lines", Mode: 0o644, Size: 1}, "x"},
		regular("a/b/c/deep", "deep"),
		regular("bin/twin", "twin"),
		link(tar.TypeLink, "twin", "bin/twin"),
	}
	at := mount(t, write(t, options(layer(t, archive(t, files...)))))

	root := stat(t, at)
	require.Equal(t, []uint32{unix.S_IFDIR | 0o750, 7, 8}, []uint32{root.Mode, root.Uid, root.Gid})
	require.EqualValues(t, unix.S_IFDIR|0o1777, stat(t, at+"/tmp").Mode)
	su := stat(t, at+"/bin/su")
	require.Equal(t, []uint32{unix.S_IFREG | 0o4755, 0, 70000}, []uint32{su.Mode, su.Uid, su.Gid})
	owned := stat(t, at+"/owned")
	require.Equal(t, []uint32{4000000000, 4000000001}, []uint32{owned.Uid, owned.Gid})
	for name, want := range map[string]string{"short": "bin/su", "long": long, "edge59": strings.Repeat("a", 59), "edge60": strings.Repeat("a", 60)} {
		target, err := os.Readlink(filepath.Join(at, name))
		require.NoError(t, err)
		require.Equal(t, want, target)
	}
	require.Equal(t, unix.Mkdev(1, 3), stat(t, at+"/dev/null").Rdev)
	large := stat(t, at+"/dev/large")
	require.Equal(t, unix.Mkdev(259, 1048575), large.Rdev)
	require.EqualValues(t, unix.S_IFBLK|0o660, large.Mode)
	require.EqualValues(t, unix.S_IFIFO|0o644, stat(t, at+"/run/pipe").Mode)
	require.Equal(t, capability, xattr(t, at+"/bin/ping", "security.capability"))
	require.Equal(t, "small", xattr(t, at+"/bin/ping", "user.note"))
	_, err := unix.Lgetxattr(at+"/bin/ping", "trusted.overlay.opaque", nil)
	require.ErrorIs(t, err, unix.ENODATA)
	for name, want := range map[string]string{"user.large": strings.Repeat("x", 3000), "user.a": "1", "user.b": "2", "user.empty": " "} {
		require.Equal(t, want, xattr(t, at+"/noted", name))
	}
	require.Equal(t, "yes", xattr(t, at+"/noted.d", "user.dir"))
	require.Equal(t, time.Date(1930, 1, 2, 3, 4, 5, 0, time.UTC).Unix(), stat(t, at+"/old").Mtim.Sec)
	require.Equal(t, time.Date(2399, 1, 2, 3, 4, 5, 0, time.UTC).Unix(), stat(t, at+"/new").Mtim.Sec)
	require.FileExists(t, at+"/näme with \"quotes\"\nand lines")
	require.FileExists(t, at+"/a/b/c/deep")
	require.Equal(t, stat(t, at+"/bin/twin").Ino, stat(t, at+"/twin").Ino)
	require.EqualValues(t, 2, stat(t, at+"/twin").Nlink)
	require.EqualValues(t, 5, stat(t, at+"/a").Nlink+stat(t, at+"/a/b/c").Nlink)
}

func TestWrite_MakesADiskThatTakesWrites(t *testing.T) {
	disk := write(t, options(layer(t, archive(t, regular("file", "content")))))
	at := mount(t, disk)
	require.NoError(t, os.WriteFile(at+"/written", []byte("more"), 0o600))
	require.NoError(t, os.MkdirAll(at+"/new/tree", 0o755))
	require.NoError(t, os.Rename(at+"/file", at+"/new/tree/file"))
	require.NoError(t, os.WriteFile(at+"/large", make([]byte, 20<<20), 0o600))
	require.NoError(t, exec.Command("mount", "-o", "remount,ro", at).Run())
	output, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput()
	require.NoError(t, err, string(output))
}

func TestWrite_IndexesLargeDirectories(t *testing.T) {
	var files []file
	for i := range 5000 {
		files = append(files, regular(fmt.Sprintf("large/a-name-of-some-length-%05d", i), ""))
	}
	disk := write(t, options(layer(t, archive(t, files...))))
	require.Contains(t, debugfs(t, disk, "stat /large"), "Flags: 0x81000", "the directory has an index (0x1000) and extents")
	at := mount(t, disk)
	entries, err := os.ReadDir(at + "/large")
	require.NoError(t, err)
	require.Len(t, entries, 5000)
	require.FileExists(t, at+"/large/a-name-of-some-length-04999")
}

func TestWrite_KeepsHolesAndManyExtents(t *testing.T) {
	// Data and holes of 64 KiB in turn: 1,400 extents, more than four blocks of them hold.
	const piece, pieces = 1 << 16, 2800
	content := make([]byte, piece*pieces+100)
	for i := 0; i < pieces; i += 2 {
		content[i*piece+5] = byte(i%255) + 1
	}
	content[len(content)-1] = 'x'
	plain := archive(t, regular("holes", string(content)), regular("zeros", strings.Repeat("\x00", 10<<20)))
	disk := write(t, options(stored(t, plain, plain)))
	levels := debugfs(t, disk, "dump_extents /holes")
	if !strings.Contains(levels, " 2/ 2 ") {
		t.Error("the tree of extents has not two levels below its root")
	}
	at := mount(t, disk)
	got, err := os.ReadFile(at + "/holes")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Less(t, stat(t, at+"/holes").Blocks*512, int64(len(content))*6/10)
	zeros := stat(t, at+"/zeros")
	require.EqualValues(t, 10<<20, zeros.Size)
	require.Zero(t, zeros.Blocks)
}
