package disk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func openTestStorage(t *testing.T) *Storage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	storage, err := OpenStorage(t.Context(), t.TempDir(), func(string) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	return storage
}

func TestStorage_ClonesShareUntilWritten(t *testing.T) {
	storage := openTestStorage(t)
	source, clone := filepath.Join(storage.Dir, "source"), filepath.Join(storage.Dir, "clone")
	require.NoError(t, os.WriteFile(source, bytes.Repeat([]byte("a"), 1<<20), 0o600))
	require.NoError(t, Clone(source, clone))

	file, err := os.OpenFile(clone, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("b"), 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	original, err := os.ReadFile(source)
	require.NoError(t, err)
	require.Equal(t, byte('a'), original[0])
	changed, err := os.ReadFile(clone)
	require.NoError(t, err)
	require.Equal(t, byte('b'), changed[0])
}

func TestRenew_TakesAFileFromWhoHasItOpen(t *testing.T) {
	storage := openTestStorage(t)
	path := filepath.Join(storage.Dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("written"), 0o644))
	holder, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer holder.Close()
	require.NoError(t, Renew(path))
	_, err = holder.WriteAt([]byte("changed"), 0)
	require.NoError(t, err)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "written", string(content))
	require.NoFileExists(t, path+".new")
}

func TestStorage_FindsItsImageAgain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	dataDir := t.TempDir()
	storage, err := OpenStorage(t.Context(), dataDir, func(string) {})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(storage.Dir, "kept"), nil, 0o600))
	require.NoError(t, storage.Close())

	again, err := OpenStorage(t.Context(), dataDir, func(string) {})
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(again.Dir, "kept"))
	require.NoError(t, again.Close())
	mounts, err := os.ReadFile("/proc/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), dataDir, "the mount is gone")
}

// A service with a mount namespace of its own keeps a copy of every mount that
// was there when it started.
func TestStorage_OpensWhileAnotherNamespaceStillHasItMounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	dataDir := t.TempDir()
	storage, err := OpenStorage(t.Context(), dataDir, func(string) {})
	require.NoError(t, err)
	if !storage.Loop {
		require.NoError(t, storage.Close())
		t.Skip("this file system clones files: no loop device is needed")
	}
	require.NoError(t, os.WriteFile(filepath.Join(storage.Dir, "kept"), nil, 0o600))
	holder := exec.Command("unshare", "--mount", "sh", "-c", "echo ready; exec sleep 300")
	output, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	_, err = output.Read(make([]byte, len("ready\n")))
	require.NoError(t, err)
	require.NoError(t, storage.Close())

	again, err := OpenStorage(t.Context(), dataDir, func(string) {})
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(again.Dir, "kept"))
	require.NoError(t, again.Close())
	require.NoError(t, holder.Process.Kill())
	require.Error(t, holder.Wait())
}

// mountSmall mounts a small file system with reflinks.
func mountSmall(t *testing.T, directory string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, CreateSparse(image, 320<<20))
	output, err := exec.Command("mkfs.xfs", "-q", "-m", "reflink=1", image).CombinedOutput()
	require.NoError(t, err, string(output))
	require.NoError(t, mountLoop(image, directory))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(directory, 0)) })
}

// fill leaves no room in a directory's file system, not even for a name.
func fill(t *testing.T, directory string) {
	t.Helper()
	for _, piece := range []int{1 << 20, 4096} {
		file, err := os.Create(filepath.Join(directory, "filler-"+strconv.Itoa(piece)))
		require.NoError(t, err)
		for err == nil {
			if _, err = file.Write(make([]byte, piece)); err == nil {
				err = file.Sync()
			}
		}
		require.ErrorIs(t, err, unix.ENOSPC)
		require.NoError(t, file.Close())
	}
	var err error
	for i := 0; err == nil; i++ {
		err = os.Mkdir(filepath.Join(directory, strconv.Itoa(i)), 0o700)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
}

func TestStorage_OpensOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	dataDir := t.TempDir()
	mountSmall(t, dataDir)
	templates, left := filepath.Join(dataDir, storageDirectory, "templates"), filepath.Join(dataDir, storageDirectory, probePrefix+"left")
	require.NoError(t, os.MkdirAll(templates, 0o700))
	require.NoError(t, os.Mkdir(left, 0o700))
	fill(t, templates)

	storage, err := OpenStorage(t.Context(), dataDir, func(string) {})
	require.NoError(t, err)
	require.False(t, storage.Loop)
	entries, err := os.ReadDir(storage.Dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "what an earlier probe left is gone: %v", entries)
}

func TestClone_RefusesToOverwrite(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"source", "target"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(name), 0o600))
	}
	require.ErrorIs(t, Clone(filepath.Join(directory, "source"), filepath.Join(directory, "target")), os.ErrExist)
	kept, err := os.ReadFile(filepath.Join(directory, "target"))
	require.NoError(t, err)
	require.Equal(t, "target", string(kept))
}

func TestCopySparse_KeepsHolesAndContents(t *testing.T) {
	directory := t.TempDir()
	source, target := filepath.Join(directory, "source"), filepath.Join(directory, "target")
	require.NoError(t, CreateSparse(source, 64<<20))
	file, err := os.OpenFile(source, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("middle"), 32<<20)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	require.NoError(t, CopySparse(source, target))
	want, err := os.ReadFile(source)
	require.NoError(t, err)
	got, err := os.ReadFile(target)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	var stat unix.Stat_t
	require.NoError(t, unix.Stat(target, &stat))
	require.Less(t, stat.Blocks*512, int64(4<<20), "holes stay holes")
}
