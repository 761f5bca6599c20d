package files

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func requireOwner(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.Equal(t, [2]uint32{uid, gid}, [2]uint32{stat.Uid, stat.Gid}, path)
}

func TestFiles_KeepUsersFromWhatIsRoots(t *testing.T) {
	g := newGuest(t)
	secret := g.write("secret", "root's", 0o600)
	readable := g.write("readable", "everybody's", 0o644)
	require.Equal(t, http.StatusUnauthorized, g.get(secret, "nobody").status)
	require.Equal(t, http.StatusUnauthorized, g.put(secret, "nobody", "x").status)
	require.Equal(t, http.StatusUnauthorized, g.put(readable, "nobody", "x").status,
		"a directory that all may write in must not open the files in it")
	require.Equal(t, http.StatusOK, g.get(readable, "nobody").status)
	require.Equal(t, http.StatusUnauthorized,
		g.compose(fmt.Sprintf(`{"source_paths":[%q],"destination":"stolen","username":"nobody"}`, secret)).status)
	require.Equal(t, http.StatusUnauthorized, g.put("/etc/wrenn-test/x", "nobody", "x").status)
	require.NoDirExists(t, "/etc/wrenn-test")
	g.requireContent(secret, "root's")
	g.requireContent(readable, "everybody's")
	require.NoFileExists(t, g.path("stolen"))
	requireNoDraft(t, g.directory)
}

func TestFiles_KeepUsersOutOfRootsDirectories(t *testing.T) {
	g := newGuest(t)
	require.NoError(t, os.Mkdir(g.path("closed"), 0o700))
	inside := g.write("closed/file", "content", 0o666)
	require.NoError(t, os.Symlink(inside, g.path("link")))
	for _, path := range []string{inside, g.path("link"), g.path("closed/new"), g.path("closed/../closed/file")} {
		require.Equal(t, http.StatusUnauthorized, g.get(path, "nobody").status, path)
		require.Equal(t, http.StatusUnauthorized, g.put(path, "nobody", "x").status, path)
	}
	g.requireContent(inside, "content")
}

// The agent's own descriptors lead past the directories above a file.
func TestDownload_DoesNotLendTheAgentsDescriptors(t *testing.T) {
	g := newGuest(t)
	require.NoError(t, os.Mkdir(g.path("closed"), 0o700))
	file, err := os.Open(g.write("closed/file", "content", 0o644))
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	for _, process := range []string{"self", fmt.Sprint(os.Getpid())} {
		got := g.get(fmt.Sprintf("/proc/%s/fd/%d", process, file.Fd()), "nobody")
		require.NotEqual(t, http.StatusOK, got.status, got.body)
	}
}

func TestUpload_GivesTheUserWhatItMakes(t *testing.T) {
	g := newGuest(t)
	user := nobody(t)
	require.Equal(t, http.StatusOK, g.put(g.path("new/deep/file"), "nobody", "x").status)
	for _, name := range []string{"new", "new/deep", "new/deep/file"} {
		requireOwner(t, g.path(name), user.UID, user.GID)
	}
}

func TestUpload_KeepsModeAndOwnerOfAFile(t *testing.T) {
	g := newGuest(t)
	user := nobody(t)
	script := g.write("script", "old", 0o750)
	require.NoError(t, os.Chown(script, int(user.UID), int(user.GID)))
	require.Equal(t, http.StatusOK, g.put(script, "nobody", "theirs").status)
	require.Equal(t, http.StatusOK, g.put(script, "root", "root's").status)
	g.requireContent(script, "root's")
	info, err := os.Stat(script)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o750), info.Mode())
	requireOwner(t, script, user.UID, user.GID)
}

func TestUpload_KeepsTheOwnerOfAFileSharedWithTheUser(t *testing.T) {
	g := newGuest(t)
	shared := g.write("shared", "a longer content than the next", 0o666)
	require.Equal(t, http.StatusOK, g.put(shared, "nobody", "next", "X-Metadata-By", "nobody").status)
	g.requireContent(shared, "next")
	requireOwner(t, shared, 0, 0)
	require.Equal(t, map[string]string{"by": "nobody"}, attached(shared))
	requireNoDraft(t, g.directory)
}

func TestUpload_WritesAFileOfTheUsersInADirectoryOfRoots(t *testing.T) {
	g := newGuest(t)
	user := nobody(t)
	require.NoError(t, os.Mkdir(g.path("etc"), 0o755))
	theirs := g.write("etc/theirs", "old", 0o644)
	require.NoError(t, os.Chown(theirs, int(user.UID), int(user.GID)))
	require.Equal(t, http.StatusOK, g.put(theirs, "nobody", "new and longer").status)
	g.requireContent(theirs, "new and longer")
	require.Equal(t, http.StatusUnauthorized, g.put(g.path("etc/another"), "nobody", "x").status)
}

func TestUpload_WritesThroughLinks(t *testing.T) {
	g := newGuest(t)
	g.write("real", "old", 0o600)
	require.NoError(t, os.Mkdir(g.path("directory"), 0o755))
	for link, target := range map[string]string{
		"relative": "real", "absolute": g.path("real"), "chain": "relative", "dangling": "directory/made", "broken": "missing/parent/made",
	} {
		require.NoError(t, os.Symlink(target, g.path(link)))
	}
	for _, link := range []string{"relative", "absolute", "chain", "dangling", "broken"} {
		require.Equal(t, http.StatusOK, g.put(link, "", link).status)
		info, err := os.Lstat(g.path(link))
		require.NoError(t, err)
		require.Equal(t, os.ModeSymlink, info.Mode().Type(), "%s is a link still", link)
		g.requireContent(g.path(link), link)
	}
	g.requireContent(g.path("real"), "chain")
	g.requireContent(g.path("directory/made"), "dangling")
	g.requireContent(g.path("missing/parent/made"), "broken")
}

func TestUpload_ReplacesAProgramThatRuns(t *testing.T) {
	g := newGuest(t)
	sleep, err := os.ReadFile("/usr/bin/sleep")
	require.NoError(t, err)
	program := filepath.Join(g.directory, "program")
	require.NoError(t, os.WriteFile(program, sleep, 0o755))
	command := exec.Command(program, "60")
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	got := g.put(program, "", "a new version")
	require.Equal(t, http.StatusOK, got.status, got.body)
	g.requireContent(program, "a new version")
}
