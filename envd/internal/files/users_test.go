package files

import (
	"fmt"
	"io"
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

// Inside a guest the user is no boundary: it has sudo.
func TestFiles_GoWhereTheUserAloneCouldNot(t *testing.T) {
	g := newGuest(t)
	user := nobody(t)
	require.NoError(t, os.Mkdir(g.path("roots"), 0o700))
	secret := g.write("roots/secret", "root's", 0o600)
	require.Equal(t, "root's", g.get(secret, "nobody").body)
	require.Equal(t, http.StatusOK, g.put(g.path("roots/app/main.py"), "nobody", "print()").status)
	requireOwner(t, g.path("roots"), 0, 0)
	requireOwner(t, g.path("roots/app"), user.UID, user.GID)
	requireOwner(t, g.path("roots/app/main.py"), user.UID, user.GID)
	got := g.compose(fmt.Sprintf(`{"source_paths":[%q],"destination":"roots/composed","username":"nobody"}`, secret))
	require.Equal(t, http.StatusOK, got.status, got.body)
	requireOwner(t, g.path("roots/composed"), user.UID, user.GID)
	requireNoDraft(t, g.directory)
}

// What not even root may do is refused, and not as a wrong token would be.
func TestUpload_RefusesAFileThatCannotBeChanged(t *testing.T) {
	g := newGuest(t)
	path := g.write("fixed", "old", 0o644)
	if output, err := exec.Command("chattr", "+i", path).CombinedOutput(); err != nil {
		t.Skipf("this disk knows no files that cannot be changed: %s", output)
	}
	t.Cleanup(func() { require.NoError(t, exec.Command("chattr", "-i", path).Run()) })
	got := g.put(path, "", "new")
	require.Equal(t, http.StatusForbidden, got.status, got.body)
	g.requireContent(path, "old")
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

// Its other names, those who have it open, and what was mounted over it all see
// the new content.
func TestUpload_WritesIntoTheFileThatIsThere(t *testing.T) {
	g := newGuest(t)
	path := g.write("file", "a longer content than the next", 0o640)
	require.NoError(t, os.Link(path, g.path("other-name")))
	opened, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { opened.Close() })
	before, err := opened.Stat()
	require.NoError(t, err)
	for _, content := range []string{"next", "", "and a much longer one than there ever was before"} {
		require.Equal(t, http.StatusOK, g.put(path, "nobody", content, "X-Metadata-Key", "value").status)
		g.requireContent(g.path("other-name"), content)
		_, err := opened.Seek(0, io.SeekStart)
		require.NoError(t, err)
		read, err := io.ReadAll(opened)
		require.NoError(t, err)
		require.Equal(t, content, string(read))
	}
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.Equal(t, before.Mode(), after.Mode())
	requireOwner(t, path, 0, 0)
	require.Equal(t, map[string]string{"key": "value"}, attached(path))
	requireNoDraft(t, g.directory)
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
