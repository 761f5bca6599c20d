package permissions

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func nobody(t *testing.T) *User {
	t.Helper()
	require.Zero(t, os.Geteuid(), "giving files to other users takes root")
	found, err := Lookup("nobody")
	require.NoError(t, err)
	return found
}

func requireOwner(t *testing.T, path string, user *User) {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.Equal(t, [2]uint32{user.UID, user.GID}, [2]uint32{stat.Uid, stat.Gid}, path)
}

func TestMakeDirectories_GivesTheUserWhatWasNotThere(t *testing.T) {
	user, root := nobody(t), &User{Name: "root"}
	directory := filepath.Join(t.TempDir(), "roots")
	require.NoError(t, os.Mkdir(directory, 0o700))
	require.NoError(t, os.Symlink("roots/made", directory+"-link"))
	for range 2 {
		require.NoError(t, user.MakeDirectories(directory+"/made/of/many//parts/"))
		require.NoError(t, user.MakeDirectories(directory+"-link/../beside"))
	}
	requireOwner(t, directory, root)
	for _, made := range []string{"made", "made/of", "made/of/many", "made/of/many/parts", "beside"} {
		requireOwner(t, filepath.Join(directory, made), user)
	}
	require.NoError(t, root.MakeDirectories(directory+"/made/of/many/parts"))
	requireOwner(t, directory+"/made/of/many/parts", user)
}

func TestMakeDirectories_RefusesWhatIsNoDirectory(t *testing.T) {
	user := nobody(t)
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(directory+"/file", nil, 0o644))
	require.NoError(t, os.Symlink("nowhere", directory+"/dangling"))
	require.ErrorIs(t, user.MakeDirectories(directory+"/file"), syscall.ENOTDIR)
	require.ErrorIs(t, user.MakeDirectories(directory+"/file/below"), syscall.ENOTDIR)
	require.ErrorIs(t, user.MakeDirectories(directory+"/dangling"), fs.ErrExist)
	require.ErrorIs(t, user.MakeDirectories(directory+"/dangling/below"), fs.ErrExist)
	require.NoDirExists(t, directory+"/nowhere")
}

func TestMakeDirectories_AtOnceAgreesOnOneTree(t *testing.T) {
	user := nobody(t)
	directory := t.TempDir()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := user.MakeDirectories(directory + "/a/b/c/d"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	requireOwner(t, directory+"/a/b/c/d", user)
}
