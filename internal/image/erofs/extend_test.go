package erofs_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/image/erofs"
	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

// extend lays an overlay's upper directory, as a tar archive, over a copy of an image.
func extend(t *testing.T, image string, upper []byte) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "extended")
	require.NoError(t, disk.CopySparse(image, target))
	file, err := os.OpenFile(target, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	writer, tree, err := erofs.Extend(file, erofs.Options{MostBytes: most}, filetree.Limits{Entries: 100000})
	require.NoError(t, err)
	reader := layers.NewReader(tree, writer, layers.Limits{StreamBytes: most, FileBytes: most, Ratio: 1, RatioFrom: most})
	require.NoError(t, reader.Read(t.Context(), layers.Layer{Content: bytes.NewReader(upper), Size: int64(len(upper)), Overlay: true}))
	_, err = writer.Finish(tree)
	require.NoError(t, err)
	return target
}

// describe returns a line for each file below a directory.
func describe(t *testing.T, root string) []string {
	t.Helper()
	var lines []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found := stat(t, path)
		line := fmt.Sprintf("%s mode %o owner %d:%d time %d", strings.TrimPrefix(path, root), found.Mode, found.Uid, found.Gid, found.Mtim.Sec)
		switch {
		case entry.Type().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q", content)
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " to " + target
		}
		lines = append(lines, line)
		return nil
	}))
	slices.Sort(lines)
	return lines
}

// TestExtend_LaysAnUpperDirectoryOverAnImageAsTheKernelDoes changes files through an overlay
// of the kernel's at random, and compares what it shows with the image that has the changes.
func TestExtend_LaysAnUpperDirectoryOverAnImageAsTheKernelDoes(t *testing.T) {
	var files []file
	for _, directory := range []string{"a", "a/b", "a/b/c", "d"} {
		for i := range 6 {
			files = append(files, regular(fmt.Sprintf("%s/f%d", directory, i), strings.Repeat(directory, 1+i*2000)))
		}
	}
	image := write(t, archive(t, files...))
	lower := mount(t, image)
	for seed := range uint64(8) {
		scratch := t.TempDir()
		require.NoError(t, unix.Mount("tmpfs", scratch, "tmpfs", 0, ""))
		t.Cleanup(func() { require.NoError(t, unix.Unmount(scratch, 0)) })
		for _, name := range []string{"upper", "work", "merged"} {
			require.NoError(t, os.Mkdir(filepath.Join(scratch, name), 0o755))
		}
		merged, upper := filepath.Join(scratch, "merged"), filepath.Join(scratch, "upper")
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s/work", lower, upper, scratch)
		require.NoError(t, unix.Mount("overlay", merged, "overlay", 0, options))
		t.Cleanup(func() { require.NoError(t, unix.Unmount(merged, 0)) })
		change(t, merged, rand.New(rand.NewPCG(seed, 7)))
		saved, err := exec.Command("tar", "-C", upper, "--xattrs", "--xattrs-include=trusted.overlay.*", "-c", ".").Output()
		require.NoError(t, err)
		extended := extend(t, image, saved)
		check(t, extended)
		require.Equal(t, describe(t, merged), describe(t, mount(t, extended)), "seed %d", seed)
		again := extend(t, extended, archive(t))
		require.Equal(t, describe(t, merged), describe(t, mount(t, again)), "seed %d", seed)
	}
}

func change(t *testing.T, root string, random *rand.Rand) {
	t.Helper()
	name := func() string {
		directories := []string{"a", "a/b", "a/b/c", "d", "new"}
		return filepath.Join(root, directories[random.IntN(len(directories))], fmt.Sprintf("f%d", random.IntN(8)))
	}
	for range 60 {
		at := name()
		switch random.IntN(9) {
		case 0:
			require.NoError(t, os.RemoveAll(at))
		case 1:
			require.NoError(t, os.RemoveAll(filepath.Dir(at)))
		case 2:
			_ = os.MkdirAll(at, 0o755) // where a file has the name, it stays
		case 3:
			_ = os.Symlink("f1", at)
		case 4:
			_ = os.Link(at, name())
		case 5:
			_ = os.Rename(at, name())
		case 6:
			_ = os.Chmod(at, 0o600)
		default:
			_ = os.MkdirAll(filepath.Dir(at), 0o700)
			_ = os.WriteFile(at, bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(10000)), 0o644)
		}
	}
}

func TestExtend_SharesWhatTheImageHas(t *testing.T) {
	large := strings.Repeat("large", 1<<20)
	image := write(t, archive(t, regular("large", large), regular("holes", strings.Repeat("\x00", 1<<20)+"x"+strings.Repeat("\x00", 1<<20))))
	before := stat(t, image)
	extended := extend(t, image, archive(t, regular("./new", "content")))
	check(t, extended)
	require.InDelta(t, before.Size, stat(t, extended).Size, 100<<10, "the contents are where they were")
	at := mount(t, extended)
	holes, err := os.ReadFile(at + "/holes")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("\x00", 1<<20)+"x"+strings.Repeat("\x00", 1<<20), string(holes))
	require.FileExists(t, at+"/new")
	removed := extend(t, extended, archive(t, file{tar.Header{Typeflag: tar.TypeChar, Name: "./large"}, ""}))
	require.Less(t, stat(t, removed).Blocks*512, int64(400<<10), "what is removed is a hole")
}

func TestOpen_RefusesWhatIsNoImage(t *testing.T) {
	content, err := os.ReadFile(write(t, archive(t, regular("a/b", "content"))))
	require.NoError(t, err)
	for _, bad := range [][]byte{nil, make([]byte, 100), make([]byte, 8192), content[:4000], append(bytes.Clone(content[:1025]), make([]byte, 8000)...)} {
		_, err := erofs.Open(bytes.NewReader(bad))
		require.ErrorIs(t, err, erofs.ErrFormat)
	}
	image, err := erofs.Open(bytes.NewReader(content[:4096]))
	require.NoError(t, err)
	require.ErrorIs(t, image.Walk(func(erofs.File) error { return nil }), erofs.ErrFormat)
}

func FuzzWalk(f *testing.F) {
	image := filepath.Join(f.TempDir(), "image")
	_, err := fill(f, image, most, archive(f, regular("a/b", "content"), regular("a/c", ""), file{tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "a"}, ""}))
	require.NoError(f, err)
	content, err := os.ReadFile(image)
	require.NoError(f, err)
	f.Add(content[4096:])
	f.Fuzz(func(t *testing.T, rest []byte) {
		image, err := erofs.Open(bytes.NewReader(slices.Concat(content[:4096], rest)))
		require.NoError(t, err)
		files := 0
		_ = image.Walk(func(found erofs.File) error { // it must neither panic nor go on for ever
			if files++; files > 1000 {
				return filepath.SkipAll
			}
			if found.Node.IsRegular() && found.Node.Size < 1<<12 {
				_, _ = io.Copy(io.Discard, image.Content(found))
			}
			return nil
		})
	})
}
