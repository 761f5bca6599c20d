package filesystem

import (
	"os"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

func (w *world) stat(t *testing.T, path string) *pb.EntryInfo {
	t.Helper()
	response, err := w.Stat(t.Context(), connect.NewRequest(&pb.StatRequest{Path: path}))
	require.NoError(t, err)
	return response.Msg.GetEntry()
}

func TestStat_DescribesAFileInFull(t *testing.T) {
	w := newWorld(t)
	path := write(t, w.path("notes.txt"), "four")
	modified := time.Date(2020, 2, 29, 12, 0, 0, 123_000_000, time.UTC)
	require.NoError(t, os.Chtimes(path, modified, modified))
	require.NoError(t, os.Chown(path, 65534, 4_000_000_000))
	require.NoError(t, shared.SetMetadata(path, map[string]string{"author": "me", "empty": ""}))

	entry := w.stat(t, path)
	require.Equal(t, "notes.txt", entry.GetName())
	require.Equal(t, path, entry.GetPath())
	require.Equal(t, pb.FileType_FILE_TYPE_FILE, entry.GetType())
	require.EqualValues(t, 4, entry.GetSize())
	require.EqualValues(t, 0o644, entry.GetMode())
	require.Equal(t, "-rw-r--r--", entry.GetPermissions())
	require.Equal(t, "nobody", entry.GetOwner())
	require.Equal(t, "4000000000", entry.GetGroup(), "a group without a name is a number")
	require.True(t, modified.Equal(entry.GetModifiedTime().AsTime()))
	require.Nil(t, entry.SymlinkTarget)
	require.Equal(t, map[string]string{"author": "me", "empty": ""}, entry.GetMetadata())
}

func TestStat_TellsWhatKindOfThingItIs(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("real", "file"), "")
	require.NoError(t, os.Symlink("real/file", w.path("relative")))
	require.NoError(t, os.Symlink("real", w.path("directory")))
	require.NoError(t, os.Symlink("directory", w.path("chain")))
	require.NoError(t, os.Symlink("/nowhere/at/all", w.path("dangling")))
	require.NoError(t, os.Symlink("circle", w.path("circle")))
	require.NoError(t, os.Chmod(w.path("real", "file"), 0o640))
	require.NoError(t, unix.Mkfifo(w.path("pipe"), 0o600))
	for name, want := range map[string]struct {
		kind        pb.FileType
		mode        uint32
		permissions string
		target      string
	}{
		"real":      {pb.FileType_FILE_TYPE_DIRECTORY, 0o755, "drwxr-xr-x", ""},
		"real/file": {pb.FileType_FILE_TYPE_FILE, 0o640, "-rw-r-----", ""},
		"relative":  {pb.FileType_FILE_TYPE_FILE, 0o640, "Lrwxrwxrwx", w.path("real/file")},
		"directory": {pb.FileType_FILE_TYPE_DIRECTORY, 0o755, "Lrwxrwxrwx", w.path("real")},
		"chain":     {pb.FileType_FILE_TYPE_DIRECTORY, 0o755, "Lrwxrwxrwx", w.path("directory")},
		"dangling":  {pb.FileType_FILE_TYPE_UNSPECIFIED, 0, "Lrwxrwxrwx", "/nowhere/at/all"},
		"circle":    {pb.FileType_FILE_TYPE_UNSPECIFIED, 0, "Lrwxrwxrwx", w.path("circle")},
		"pipe":      {pb.FileType_FILE_TYPE_UNSPECIFIED, 0o600, "prw-------", ""},
	} {
		entry := w.stat(t, name)
		require.Equal(t, want.kind, entry.GetType(), name)
		require.Equal(t, want.mode, entry.GetMode(), name)
		require.Equal(t, want.permissions, entry.GetPermissions(), name)
		require.Equal(t, want.target, entry.GetSymlinkTarget(), name)
		require.Equal(t, want.target != "", entry.GetIsSymlink(), name)
		require.Equal(t, w.path(name), entry.GetPath(), "relative paths start at the working directory")
	}
	require.Equal(t, "/root", w.stat(t, "~").GetPath())
	require.Equal(t, "/", w.stat(t, "/../..").GetPath())
}

func TestStat_SpellsNamesThatAreNotText(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("odd", "a\xff\xfe"), "")
	require.NoError(t, os.Symlink("\xfd", w.path("odd", "link")))
	require.NoError(t, unix.Setxattr(w.path("odd"), shared.MetadataPrefix+"k", []byte("\xfc"), 0))
	listed := w.list(t, "odd", 1)
	require.Equal(t, []string{"a\uFFFD", "link"}, names(listed))
	require.Equal(t, w.path("odd", "\uFFFD"), listed[1].GetSymlinkTarget())
	require.Equal(t, "\uFFFD", w.stat(t, "odd").GetMetadata()["k"])
}

func mountTmpfs(t *testing.T, path string) {
	t.Helper()
	makeDirectory(t, path)
	require.NoError(t, unix.Mount("tmpfs", path, "tmpfs", 0, ""))
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			require.ErrorIs(t, err, unix.EINVAL, "it may be unmounted already")
		}
	})
}
