package layers_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/image/layers"
)

// memoryDisk keeps contents in memory, each as one block, and knows which are in use.
type memoryDisk struct {
	contents map[uint32]string
	next     uint32
}

func (d *memoryDisk) Write(content io.Reader, size int64) ([]filetree.Extent, error) {
	var kept bytes.Buffer
	n, err := io.CopyN(&kept, content, min(size, 1<<20))
	if err == nil && n < size {
		_, err = io.CopyN(io.Discard, content, size-n)
	}
	if err != nil {
		return nil, err
	}
	d.next++
	d.contents[d.next] = kept.String()
	return []filetree.Extent{{Block: d.next, Count: 1}}, nil
}

func (d *memoryDisk) Free(extents []filetree.Extent) {
	for _, extent := range extents {
		if _, ok := d.contents[extent.Block]; !ok {
			panic("a content is freed twice")
		}
		delete(d.contents, extent.Block)
	}
}

var testLimits = layers.Limits{StreamBytes: 64 << 20, FileBytes: 16 << 20, Ratio: 10, RatioFrom: 32 << 20}

type target struct {
	tree   *filetree.Tree
	disk   *memoryDisk
	reader *layers.Reader
}

func newTarget(limits layers.Limits) *target {
	disk := &memoryDisk{contents: make(map[uint32]string)}
	tree := filetree.New(filetree.Limits{Entries: 10000}, disk.Free)
	return &target{tree: tree, disk: disk, reader: layers.NewReader(tree, disk, limits)}
}

func (r *target) read(packed, archive []byte) error {
	sum := sha256.Sum256(archive)
	return r.reader.Read(context.Background(), layers.Layer{Content: bytes.NewReader(packed), Size: int64(len(packed)), DiffID: hex.EncodeToString(sum[:])})
}

// content is what a file of the root directory holds.
func (r *target) content(name string) string {
	return r.disk.contents[r.tree.Root().Child(name).Extents[0].Block]
}

func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, header := range headers {
		if header.Mode == 0 {
			header.Mode = 0o644
		}
		require.NoError(t, writer.WriteHeader(&header))
		_, err := writer.Write(make([]byte, header.Size))
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

func zstandard(t testing.TB, content []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer, err := zstd.NewWriter(&packed)
	require.NoError(t, err)
	_, err = writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return packed.Bytes()
}

func TestRead_KnowsHowALayerIsPackedByItsContent(t *testing.T) {
	plain := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "file", Size: 3})
	half := len(plain) / 2
	skippable := append([]byte{0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'}, zstandard(t, plain)...)
	for name, packed := range map[string][]byte{
		"plain": plain, "gzip": gzipped(t, plain), "zstd": zstandard(t, plain),
		"gzip of several members": append(gzipped(t, plain[:half]), gzipped(t, plain[half:])...),
		"zstd of several frames":  append(zstandard(t, plain[:half]), zstandard(t, plain[half:])...),
		"zstd after a comment":    skippable,
	} {
		reader := newTarget(testLimits)
		require.NoError(t, reader.read(packed, plain), name)
		require.Equal(t, "\x00\x00\x00", reader.content("file"), name)
	}
	for _, start := range []string{"BZh91AY", "\xfd7zXZ\x00\x00"} {
		require.ErrorContains(t, newTarget(testLimits).read([]byte(start), nil), "packed by bzip2 or xz")
	}
	require.NoError(t, newTarget(testLimits).read(nil, nil), "a layer without anything")
}

func TestRead_RefusesLayersThatAreCutOffOrDamaged(t *testing.T) {
	plain := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "file", Size: 5000}, tar.Header{Typeflag: tar.TypeReg, Name: "second", Size: 5000})
	for name, packed := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": zstandard(t, plain)} {
		for _, at := range []int{1, 5, len(packed) / 3, len(packed) - 9} {
			err := newTarget(testLimits).read(packed[:at], plain)
			require.Error(t, err, "%s, %d bytes", name, at)
			require.True(t, layers.IsRefusal(err), "%s, %d bytes: %v", name, at, err)
		}
	}
	broken := bytes.Clone(plain)
	broken[3] ^= 1 // of the first name: the header's sum is wrong
	require.ErrorContains(t, newTarget(testLimits).read(broken, broken), "damaged or was cut off")
	require.ErrorContains(t, newTarget(testLimits).read(plain, broken), "not what the image's configuration says")
}

func TestRead_StopsAtEachLimitAndNamesIt(t *testing.T) {
	// Contents of whiteouts are passed over, but read.
	large := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: ".wh.x", Size: 15 << 20}, tar.Header{Typeflag: tar.TypeReg, Name: ".wh.y", Size: 15 << 20})
	bomb := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "one", Size: 16 << 20}, tar.Header{Typeflag: tar.TypeReg, Name: "two", Size: 16 << 20},
		tar.Header{Typeflag: tar.TypeReg, Name: "three", Size: 16 << 20})
	for _, refused := range []struct {
		name   string
		layers [][]byte
		want   string
	}{
		{"file", [][]byte{archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "file", Size: 16<<20 + 1})}, `the file "file" is larger than 16 MiB, which is the limit`},
		{"image", [][]byte{large, large, large}, "larger than 64 MiB unpacked, which is the limit"},
		{"bomb by gzip", [][]byte{gzipped(t, bomb)}, "more than 10 times as large unpacked as packed, which is the limit"},
		{"bomb by zstd", [][]byte{zstandard(t, bomb)}, "more than 10 times as large unpacked as packed, which is the limit"},
		{"bomb behind the archive's end", [][]byte{gzipped(t, make([]byte, 48<<20))}, "more than 10 times as large unpacked as packed, which is the limit"},
	} {
		reader := newTarget(testLimits)
		var err error
		for _, layer := range refused.layers {
			unpacked := layer
			if bytes.HasPrefix(layer, []byte{0x1f, 0x8b}) {
				unpacked = nil // the sum does not matter: reading ends before
			}
			if err = reader.read(layer, unpacked); err != nil {
				break
			}
		}
		require.ErrorContains(t, err, refused.want, refused.name)
		require.True(t, layers.IsRefusal(err))
	}
}

func TestRead_CountsHolesOfSparseFiles(t *testing.T) {
	small := imagetest.SparseArchive("sparse", 1<<20)
	reader := newTarget(testLimits)
	require.NoError(t, reader.read(small, small))
	require.EqualValues(t, 1<<20, reader.tree.Root().Child("sparse").Size)
	require.True(t, strings.HasSuffix(reader.content("sparse"), "\x00x"))

	terabyte := imagetest.SparseArchive("huge", 1<<40)
	require.ErrorContains(t, newTarget(testLimits).read(terabyte, terabyte), `the file "huge" is larger than 16 MiB, which is the limit`)

	reader = newTarget(testLimits)
	medium := imagetest.SparseArchive("medium", 15<<20)
	var err error
	for i := 0; i < 5 && err == nil; i++ {
		err = reader.read(medium, medium)
	}
	require.ErrorContains(t, err, "the image's files are larger than 64 MiB, which is the limit")
}

func TestRead_RefusesWhatLinuxDoesNotHave(t *testing.T) {
	xattr := func(name, value string) map[string]string { return map[string]string{"SCHILY.xattr." + name: value} }
	for want, header := range map[string]tar.Header{
		"which no system has":                  {Typeflag: tar.TypeReg, Name: "f", Uid: 1<<32 - 1},
		"numbers that Linux does not have":     {Typeflag: tar.TypeChar, Name: "d", Devmajor: 4096},
		"an empty target or one of more than":  {Typeflag: tar.TypeSymlink, Name: "l", Linkname: strings.Repeat("t", 4096)},
		"which is not known":                   {Typeflag: 'Z', Name: "z"},
		"attributes of \"x\" are larger":       {Typeflag: tar.TypeReg, Name: "x", PAXRecords: xattr("user.x", strings.Repeat("v", 3600))},
		"leads out of its directory":           {Typeflag: tar.TypeReg, Name: "../../etc/passwd"},
		"is a hard link to \"no\", which does": {Typeflag: tar.TypeLink, Name: "h", Linkname: "no"},
	} {
		plain := archive(t, header)
		err := newTarget(testLimits).read(plain, plain)
		require.ErrorContains(t, err, want)
		require.True(t, layers.IsRefusal(err))
	}
}

func TestRead_KeepsUsersAttributesAndCapabilitiesOnly(t *testing.T) {
	records := make(map[string]string)
	for _, name := range []string{"user.a", "security.capability", "security.selinux", "trusted.overlay.opaque", "system.posix_acl_access", "user."} {
		records["SCHILY.xattr."+name] = "v"
	}
	plain := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", PAXRecords: records})
	reader := newTarget(testLimits)
	require.NoError(t, reader.read(plain, plain))
	require.Equal(t, map[string]string{"user.a": "v", "security.capability": "v"}, reader.tree.Root().Child("f").Xattrs)
}

func TestRead_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	plain := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "f"})
	err := newTarget(testLimits).reader.Read(ctx, layers.Layer{Content: bytes.NewReader(plain), Size: 1})
	require.ErrorIs(t, err, context.Canceled)
}

func TestBytes_ReadsWell(t *testing.T) {
	for size, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB", 64 << 30: "64 GiB", 5 << 40: "5 TiB"} {
		require.Equal(t, want, layers.Bytes(size))
	}
}

// checkTree holds a tree to what must be so whatever was read: each content is used by one
// file, and none is left that no file has.
func checkTree(t *testing.T, read *target) {
	t.Helper()
	links := make(map[*filetree.Node]uint32)
	used := make(map[uint32]bool)
	var walk func(node *filetree.Node)
	walk = func(node *filetree.Node) {
		for _, name := range node.Names() {
			require.NotContains(t, []string{"", ".", ".."}, name)
			require.NotContains(t, name, "/")
			child := node.Child(name)
			links[child]++
			if child.IsDir() {
				require.Same(t, node, child.Parent())
				walk(child)
			}
			if links[child] == 1 {
				for _, extent := range child.Extents {
					require.False(t, used[extent.Block], "two files have one content")
					used[extent.Block] = true
				}
			}
		}
	}
	walk(read.tree.Root())
	for node, count := range links {
		require.Equal(t, count, node.Links, "mode %o", node.Mode)
		require.NotZero(t, node.Mode&unix.S_IFMT)
	}
	require.Len(t, read.disk.contents, len(used), "a content is left that no file has")
}

// FuzzRead reads two layers, the second over the first.
func FuzzRead(f *testing.F) {
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeDir, Name: "d/"}, tar.Header{Typeflag: tar.TypeReg, Name: "d/f", Size: 9},
		tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "d/f"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "s", Linkname: "d"}),
		archive(f, tar.Header{Typeflag: tar.TypeReg, Name: "s/f", Size: 3}, tar.Header{Typeflag: tar.TypeReg, Name: "d/.wh..wh..opq"}, tar.Header{Typeflag: tar.TypeReg, Name: ".wh.h"}))
	f.Add(gzipped(f, archive(f, tar.Header{Typeflag: tar.TypeFifo, Name: "p", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}})), zstandard(f, archive(f)))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		limits := layers.Limits{StreamBytes: 1 << 20, FileBytes: 1 << 18, Ratio: 10, RatioFrom: 1 << 19}
		read := newTarget(limits)
		for _, content := range [][]byte{lower, upper} {
			// The sum is wrong for what is packed, which is found after all was read.
			err := read.read(content, content)
			if err != nil && !layers.IsRefusal(err) {
				t.Fatalf("an error that is not explained: %v", err)
			}
		}
		checkTree(t, read)
	})
}

func TestRead_ReturnsErrorsOfItsSourceAsTheyAre(t *testing.T) {
	plain := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: 5000})
	broken := errors.New("the disk is broken")
	for _, packed := range [][]byte{plain, gzipped(t, plain), zstandard(t, plain), nil} {
		content := io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(broken))
		require.ErrorIs(t, newTarget(testLimits).reader.Read(t.Context(), layers.Layer{Content: content, Size: 1}), broken)
	}
}
