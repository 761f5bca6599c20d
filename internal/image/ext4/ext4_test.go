package ext4

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// Disks of whole trees are checked by e2fsck in the tests of package rootfs.

// format makes an empty file system of 64 MiB.
func format(t *testing.T, features string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	output, err := exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-O", features, path, "64M").CombinedOutput()
	require.NoError(t, err, string(output))
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

func TestChecksum_IsCRC32CWithoutInversions(t *testing.T) {
	const check = 0xe3069283 // of "123456789", in every catalogue of CRCs
	require.EqualValues(t, check, ^checksum(math.MaxUint32, []byte("1234"), []byte("56789")))
}

func TestHasBackup_IsTrueForPowersOfThreeFiveAndSeven(t *testing.T) {
	var found []uint32
	for group := range uint32(130) {
		if hasBackup(group) {
			found = append(found, group)
		}
	}
	require.Equal(t, []uint32{0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125}, found)
}

func TestOpen_RefusesFileSystemsThatItDoesNotKnow(t *testing.T) {
	for _, features := range []string{
		Features + ",^metadata_csum", Features + ",^resize_inode", Features + ",^has_journal", Features + ",inline_data", Features + ",quota", Features + ",bigalloc",
	} {
		_, err := Open(format(t, features))
		require.ErrorIs(t, err, errFormat, features)
	}
	empty, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	require.NoError(t, err)
	defer empty.Close()
	_, err = Open(empty)
	require.ErrorContains(t, err, "read superblock")
	require.NoError(t, empty.Truncate(1<<20))
	_, err = Open(empty)
	require.ErrorIs(t, err, errFormat)
}

func TestWrite_FillsTheDiskToTheLastBlockAndFreesWhatDidNotFit(t *testing.T) {
	writer, err := Open(format(t, Features))
	require.NoError(t, err)
	free := writer.blocks.free
	_, err = writer.Write(bytes.NewReader(bytes.Repeat([]byte("x"), int(free+1)*blockBytes)), int64(free+1)*blockBytes)
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, free, writer.blocks.free)
	extents, err := writer.Write(bytes.NewReader(bytes.Repeat([]byte("x"), int(free)*blockBytes)), int64(free)*blockBytes)
	require.NoError(t, err)
	require.Zero(t, writer.blocks.free)
	writer.Free(extents)
	require.Equal(t, free, writer.blocks.free)
}

func TestWrite_ReportsAContentThatIsTooShort(t *testing.T) {
	writer, err := Open(format(t, Features))
	require.NoError(t, err)
	_, err = writer.Write(strings.NewReader("short"), 10)
	require.ErrorContains(t, err, "unexpected EOF")
}

func TestFinish_SaysThatThereAreTooFewInodes(t *testing.T) {
	writer, err := Open(format(t, Features))
	require.NoError(t, err)
	tree := filetree.New(filetree.Limits{Entries: math.MaxInt}, writer.Free)
	for i := range writer.super.inodes {
		name := []byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676%26), byte('a' + i/17576%26)}
		require.NoError(t, tree.Put(string(name), &filetree.Node{Mode: unix.S_IFIFO}))
	}
	_, err = writer.Finish(tree)
	require.ErrorIs(t, err, ErrInodes)
}

func TestPutDevice_HasTheOldFormWhereItFits(t *testing.T) {
	root := make([]byte, 60)
	putDevice(root, 1, 3)
	require.Equal(t, []byte{3, 1, 0, 0, 0, 0, 0, 0}, root[:8])
	root = make([]byte, 60)
	putDevice(root, 259, 1048575)
	require.EqualValues(t, 0, little.Uint32(root))
	require.EqualValues(t, 0xff|259<<8|0xfff00<<12, little.Uint32(root[4:]))
}
