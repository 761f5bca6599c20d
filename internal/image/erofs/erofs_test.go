package erofs_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/erofs"
	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

var testUUID = uuid.MustParse("0d1b6c8f-2a77-4b7a-9a51-6f0d5c9e3c0e")

const most = 1 << 40

// file is an entry of an archive.
type file struct {
	tar.Header
	content string
}

func regular(name, content string) file {
	return file{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func archive(t testing.TB, files ...file) []byte {
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

// write makes an image of layers, of which each is a tar archive.
func write(t *testing.T, all ...[]byte) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "image")
	_, err := fill(t, target, most, all...)
	require.NoError(t, err)
	return target
}

func fill(t testing.TB, target string, mostBytes int64, all ...[]byte) (erofs.Usage, error) {
	t.Helper()
	out, err := os.Create(target)
	require.NoError(t, err)
	defer out.Close()
	writer := erofs.New(out, erofs.Options{UUID: testUUID, MostBytes: mostBytes})
	tree := filetree.New(filetree.Limits{Entries: 2_000_000}, writer.Free)
	reader := layers.NewReader(tree, writer, layers.Limits{StreamBytes: 4 << 40, FileBytes: 2 << 40, Ratio: 1, RatioFrom: 4 << 40})
	for _, content := range all {
		sum := sha256.Sum256(content)
		err := reader.Read(t.Context(), layers.Layer{Content: bytes.NewReader(content), Size: int64(len(content)), DiffID: hex.EncodeToString(sum[:])})
		if err != nil {
			return erofs.Usage{}, err
		}
	}
	return writer.Finish(tree)
}

// check has fsck.erofs judge an image, and read all of it.
func check(t *testing.T, image string) {
	t.Helper()
	output, err := exec.Command("fsck.erofs", "-d3", "--extract", image).CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "No errors found")
}

// mount has the kernel mount an image until the test ends.
func mount(t *testing.T, image string) string {
	t.Helper()
	return imagetest.Mount(t, "erofs", image, "ro")
}

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var found unix.Stat_t
	require.NoError(t, unix.Lstat(path, &found), path)
	return found
}

func TestFinish_KeepsWhatAFileHas(t *testing.T) {
	long := strings.Repeat("long/", 800) + strings.Repeat("x", 32)
	longest := strings.Repeat("t", 4095)
	files := []file{
		{tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o750, Uid: 7, Gid: 8}, ""},
		{tar.Header{Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "bin/su", Mode: 0o4755, Gid: 70000, Size: 3}, "su\n"},
		{tar.Header{Typeflag: tar.TypeReg, Name: "owned", Mode: 0o600, Uid: 4000000000, Gid: 4000000001}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "short", Linkname: "bin/su", Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "long", Linkname: long, Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "longest", Linkname: longest, Mode: 0o777}, ""},
		{tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
		{tar.Header{Typeflag: tar.TypeBlock, Name: "dev/large", Mode: 0o660, Devmajor: 259, Devminor: 1048575}, ""},
		{tar.Header{Typeflag: tar.TypeFifo, Name: "run/pipe", Mode: 0o644}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "old", Mode: 0o644, ModTime: time.Date(1930, 1, 2, 3, 4, 5, 0, time.UTC)}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "new", Mode: 0o644, ModTime: time.Date(2399, 1, 2, 3, 4, 5, 678, time.UTC), Format: tar.FormatPAX}, ""},
		{tar.Header{Typeflag: tar.TypeReg, Name: "näme with \"quotes\"\nand lines", Mode: 0o644, Size: 1}, "x"},
		regular("a/b/c/deep", "deep"),
		{tar.Header{Typeflag: tar.TypeLink, Name: "twin", Linkname: "bin/su"}, ""},
	}
	image := write(t, archive(t, files...))
	check(t, image)
	at := mount(t, image)
	root := stat(t, at)
	require.Equal(t, []uint32{unix.S_IFDIR | 0o750, 7, 8}, []uint32{root.Mode, root.Uid, root.Gid})
	require.EqualValues(t, unix.S_IFDIR|0o1777, stat(t, at+"/tmp").Mode)
	su := stat(t, at+"/bin/su")
	require.Equal(t, []uint32{unix.S_IFREG | 0o4755, 0, 70000}, []uint32{su.Mode, su.Uid, su.Gid})
	require.Equal(t, su.Ino, stat(t, at+"/twin").Ino)
	require.EqualValues(t, 2, su.Nlink)
	owned := stat(t, at+"/owned")
	require.Equal(t, []uint32{4000000000, 4000000001}, []uint32{owned.Uid, owned.Gid})
	for name, want := range map[string]string{"short": "bin/su", "long": long, "longest": longest} {
		target, err := os.Readlink(filepath.Join(at, name))
		require.NoError(t, err)
		require.Equal(t, want, target)
	}
	require.Equal(t, unix.Mkdev(1, 3), stat(t, at+"/dev/null").Rdev)
	require.Equal(t, unix.Mkdev(259, 1048575), stat(t, at+"/dev/large").Rdev)
	require.EqualValues(t, unix.S_IFBLK|0o660, stat(t, at+"/dev/large").Mode)
	require.EqualValues(t, unix.S_IFIFO|0o644, stat(t, at+"/run/pipe").Mode)
	require.Equal(t, time.Date(1930, 1, 2, 3, 4, 5, 0, time.UTC).Unix(), stat(t, at+"/old").Mtim.Sec)
	require.Equal(t, time.Date(2399, 1, 2, 3, 4, 5, 0, time.UTC).Unix(), stat(t, at+"/new").Mtim.Sec)
	require.EqualValues(t, 678, stat(t, at+"/new").Mtim.Nsec)
	require.FileExists(t, at+"/näme with \"quotes\"\nand lines")
	require.FileExists(t, at+"/a/b/c/deep")
	require.EqualValues(t, 5, stat(t, at+"/a").Nlink+stat(t, at+"/a/b/c").Nlink)
}

func TestFinish_IndexesLargeDirectories(t *testing.T) {
	var files []file
	for i := range 5000 {
		files = append(files, regular(fmt.Sprintf("large/a-name-of-some-length-%05d", i), ""), regular(fmt.Sprintf("large/!%d", i), ""))
	}
	image := write(t, archive(t, files...))
	check(t, image)
	at := mount(t, image)
	entries, err := os.ReadDir(at + "/large")
	require.NoError(t, err)
	require.Len(t, entries, 10000)
	for _, one := range files {
		require.FileExists(t, filepath.Join(at, one.Name))
	}
	require.NoFileExists(t, at+"/large/a-name-of-some-length-05000")
}

func TestFinish_MakesTheSameImageOfTheSameFiles(t *testing.T) {
	content := archive(t, regular("a", "one"), regular("b/c", strings.Repeat("two", 5000)), regular("b/zeros", strings.Repeat("\x00", 1<<18)))
	first, err := os.ReadFile(write(t, content))
	require.NoError(t, err)
	second, err := os.ReadFile(write(t, content))
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, second))
}

func TestFinish_LaysLayersOverEachOther(t *testing.T) {
	image := write(t,
		archive(t, regular("etc/hosts", "one"), regular("etc/gone", strings.Repeat("x", 1<<20)), regular("etc/changed", "long content")),
		archive(t, regular("etc/.wh.gone", ""), regular("etc/changed", "new")))
	check(t, image)
	at := mount(t, image)
	require.NoFileExists(t, at+"/etc/gone")
	changed, err := os.ReadFile(at + "/etc/changed")
	require.NoError(t, err)
	require.Equal(t, "new", string(changed))
	require.Less(t, stat(t, image).Blocks*512, int64(100<<10), "what a layer removes is a hole")
}

// pattern is a content without holes at first sight of whose bytes its place is known.
type pattern struct{ at, size int64 }

func (p *pattern) Read(buffer []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(buffer)), p.size-p.at))
	for i := range n {
		buffer[i] = byte((p.at + int64(i)) % 251)
	}
	p.at += int64(n)
	return n, nil
}

func TestWrite_KeepsHolesAndTakesNoRoomForThem(t *testing.T) {
	const piece, pieces = 1 << 16, 200
	content := make([]byte, piece*pieces+100)
	for i := 0; i < pieces; i += 2 {
		content[i*piece+5] = byte(i%255) + 1
	}
	content[len(content)-1] = 'x'
	image := write(t, archive(t, regular("holes", string(content)), regular("begins", strings.Repeat("\x00", 1<<20)+"x"),
		regular("zeros", strings.Repeat("\x00", 10<<20)), regular("more zeros", strings.Repeat("\x00", 1))))
	check(t, image)
	at := mount(t, image)
	got, err := os.ReadFile(at + "/holes")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	for name, want := range map[string]string{
		"begins": strings.Repeat("\x00", 1<<20) + "x", "zeros": strings.Repeat("\x00", 10<<20), "more zeros": "\x00",
	} {
		got, err := os.ReadFile(filepath.Join(at, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal([]byte(want), got), name)
	}
	require.Less(t, stat(t, image).Blocks*512, int64(len(content))*6/10)
}

// TestWrite_TakesATerabyteOfHoles writes a tree by hand: a terabyte of zeros would take long
// to read.
func TestWrite_TakesATerabyteOfHoles(t *testing.T) {
	const size = 1 << 40
	target := filepath.Join(t.TempDir(), "image")
	out, err := os.Create(target)
	require.NoError(t, err)
	defer out.Close()
	writer := erofs.New(out, erofs.Options{UUID: testUUID, MostBytes: 1 << 20})
	tree := filetree.New(filetree.Limits{Entries: 10}, writer.Free)
	require.NoError(t, tree.Put("huge", &filetree.Node{Mode: unix.S_IFREG | 0o644, Size: size}))
	extents, err := writer.Write(&pattern{size: 5000}, 5000)
	require.NoError(t, err)
	require.NoError(t, tree.Put("small", &filetree.Node{Mode: unix.S_IFREG | 0o644, Size: 5000, Extents: extents}))
	usage, err := writer.Finish(tree)
	require.NoError(t, err)
	require.Less(t, usage.Bytes, int64(100<<10))
	require.Less(t, stat(t, target).Blocks*512, int64(100<<10))
	at := mount(t, target)
	require.EqualValues(t, size, stat(t, at+"/huge").Size)
	huge, err := os.Open(at + "/huge")
	require.NoError(t, err)
	defer huge.Close()
	last := []byte("not zero")
	_, err = huge.ReadAt(last, size-int64(len(last)))
	require.NoError(t, err)
	require.Equal(t, make([]byte, len(last)), last)
	small, err := os.ReadFile(at + "/small")
	require.NoError(t, err)
	want, err := io.ReadAll(&pattern{size: 5000})
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, small))
}

func TestWrite_ReportsWhatDoesNotFit(t *testing.T) {
	target := filepath.Join(t.TempDir(), "image")
	for _, mostBytes := range []int64{0, 3 << 12, 1 << 20} {
		_, err := fill(t, target, mostBytes, archive(t, regular("file", strings.Repeat("x", 1<<20))))
		require.ErrorIs(t, err, erofs.ErrFull, "%d", mostBytes)
	}
	usage, err := fill(t, target, 1<<20+3<<12, archive(t, regular("file", strings.Repeat("x", 1<<20))))
	require.NoError(t, err)
	require.LessOrEqual(t, usage.Bytes, int64(1<<20+3<<12))
}

func TestWrite_ReportsAContentThatIsTooShort(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "image"))
	require.NoError(t, err)
	defer out.Close()
	writer := erofs.New(out, erofs.Options{MostBytes: math.MaxInt64})
	_, err = writer.Write(strings.NewReader("short"), 10)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
