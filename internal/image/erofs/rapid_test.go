package erofs_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// sizes are those at which the layout changes: those of blocks, and what is left of a block
// behind an inode.
var sizes = rapid.OneOf(
	rapid.IntRange(0, 10000), rapid.IntRange(4000, 4100), rapid.SampledFrom([]int{0, 1, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 65536, 65537, 200000}))

var names = rapid.OneOf(rapid.StringMatching(`[!-.0-~]{1,20}`), rapid.StringMatching(`[a-c]{255}`), rapid.StringMatching(`[a-d]{1,2}`)).
	Filter(func(name string) bool { return name != "." && name != ".." && !strings.HasPrefix(name, ".wh.") })

func drawFile(t *rapid.T, directories []string) file {
	name := rapid.SampledFrom(directories).Draw(t, "in") + names.Draw(t, "name")
	header := tar.Header{
		Typeflag: tar.TypeReg, Name: name, Mode: rapid.Int64Range(0, 0o7777).Draw(t, "mode"),
		Uid: rapid.IntRange(0, 1<<32-2).Draw(t, "user"), Gid: rapid.IntRange(0, 1<<32-2).Draw(t, "group"),
	}
	switch rapid.SampledFrom([]byte{tar.TypeReg, tar.TypeSymlink, tar.TypeFifo, tar.TypeChar, tar.TypeDir}).Draw(t, "type") {
	case tar.TypeSymlink:
		header.Typeflag, header.Linkname = tar.TypeSymlink, strings.Repeat("t", max(1, min(4095, sizes.Draw(t, "target"))))
	case tar.TypeFifo:
		header.Typeflag = tar.TypeFifo
	case tar.TypeChar:
		header.Typeflag = tar.TypeChar
		header.Devmajor, header.Devminor = rapid.Int64Range(0, 4095).Draw(t, "major"), rapid.Int64Range(0, 1<<20-1).Draw(t, "minor")
	case tar.TypeDir:
		header.Typeflag = tar.TypeDir
	default:
		content := bytes.Repeat([]byte(rapid.SampledFrom([]string{"x", "\x00", "ab"}).Draw(t, "byte")), sizes.Draw(t, "size"))
		header.Size = int64(len(content))
		return file{header, string(content)}
	}
	return file{header, ""}
}

// TestFinish_IsReadByTheKernelAsItWasWritten writes trees of all kinds of files and compares
// what the kernel reads with what was written.
func TestFinish_IsReadByTheKernelAsItWasWritten(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts images")
	}
	rapid.Check(t, func(rt *rapid.T) {
		directories := []string{"", "d1/", "d2/", "d1/d3/"}
		written := make(map[string]file)
		var files []file
		for range rapid.IntRange(0, 60).Draw(rt, "files") {
			one := drawFile(rt, directories)
			if _, twice := written[one.Name]; twice {
				continue
			}
			written[one.Name] = one
			files = append(files, one)
		}
		image := write(t, archive(t, files...))
		defer func() { require.NoError(rt, os.Remove(image)) }()
		check(t, image)
		at := t.TempDir()
		output, err := exec.Command("mount", "-t", "erofs", "-o", "loop,ro", image, at).CombinedOutput()
		require.NoError(rt, err, string(output))
		defer func() { require.NoError(rt, unix.Unmount(at, 0)) }()
		compare(rt, at, directories, written)
	})
}

func compare(t *rapid.T, at string, directories []string, written map[string]file) {
	found := 0
	require.NoError(t, filepath.WalkDir(at, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(at, path)
		if err != nil {
			return err
		}
		one, ours := written[name]
		if !ours {
			require.True(t, entry.IsDir() && name == "." || entry.IsDir() && contains(directories, name+"/"), name)
			return nil
		}
		found++
		compareFile(t, path, one)
		return nil
	}))
	require.Equal(t, len(written), found)
}

func contains(all []string, one string) bool {
	for _, other := range all {
		if other == one {
			return true
		}
	}
	return false
}

func compareFile(t *rapid.T, path string, want file) {
	var got unix.Stat_t
	require.NoError(t, unix.Lstat(path, &got))
	require.Equal(t, []int64{want.Mode, int64(want.Uid), int64(want.Gid), 1700000000},
		[]int64{int64(got.Mode & 0o7777), int64(got.Uid), int64(got.Gid), got.Mtim.Sec}, path)
	switch want.Typeflag {
	case tar.TypeReg:
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal([]byte(want.content), content), path)
	case tar.TypeSymlink:
		target, err := os.Readlink(path)
		require.NoError(t, err)
		require.Equal(t, want.Linkname, target)
	case tar.TypeChar:
		require.Equal(t, unix.Mkdev(uint32(want.Devmajor), uint32(want.Devminor)), got.Rdev)
	}
}
