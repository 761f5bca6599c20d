package filesystem

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

func TestWatchDir_Recursive_SeesWhatIsBelowAndWhatComesLater(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("a", "b"))
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	write(t, w.path("a", "b", "file"), "x")
	require.Equal(t, []string{"CREATE a/b/file", "WRITE a/b/file"}, s.changes(t))
	require.NoError(t, os.Mkdir(w.path("a", "new"), 0o755))
	require.Equal(t, []string{"CREATE a/new"}, s.changes(t))
	write(t, w.path("a", "new", "file"), "x")
	require.Equal(t, []string{"CREATE a/new/file", "WRITE a/new/file"}, s.changes(t))
	require.NoError(t, os.RemoveAll(w.path("a", "new")))
	require.Equal(t, []string{"REMOVE a/new/file", "REMOVE a/new"}, s.changes(t))
	write(t, w.path("a", "new", "file"), "")
	require.Contains(t, s.changes(t), "CREATE a/new/file", "a directory of the same name is another one")
}

func TestWatchDir_Recursive_MissesNothingMadeBeforeItsWatch(t *testing.T) {
	w := newWorld(t)
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	want := map[string]int{}
	for i := range 50 {
		write(t, w.path(fmt.Sprintf("d%d/x/y/file", i)), "")
		for _, below := range []string{"", "/x", "/x/y", "/x/y/file"} {
			want[fmt.Sprintf("CREATE d%d%s", i, below)]++
		}
	}
	got := map[string]int{}
	for _, change := range s.changes(t) {
		got[change]++
	}
	require.Equal(t, want, got, "each is reported once")
}

func TestWatchDir_Recursive_TellsOfEachWriteHoweverFastItFollowsItsDirectory(t *testing.T) {
	w := newWorld(t)
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	const rounds = 50
	for i := range rounds {
		write(t, w.path(fmt.Sprintf("d%d/file", i)), "content")
	}
	created, written := map[string]int{}, map[string]bool{}
	for _, change := range s.changes(t) {
		kind, name, _ := strings.Cut(change, " ")
		if strings.HasSuffix(name, "/file") && kind == "CREATE" {
			created[name]++
		}
		written[name] = written[name] || kind == "WRITE"
	}
	for i := range rounds {
		name := fmt.Sprintf("d%d/file", i)
		require.Equal(t, 1, created[name], name)
		require.True(t, written[name], name)
	}
}

func TestWatchDir_Recursive_FollowsDirectoriesThatMove(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("a", "deep", "er"))
	makeDirectory(t, w.path("b"))
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	require.NoError(t, os.Rename(w.path("a"), w.path("b", "c")))
	require.NoError(t, os.Rename(w.path("b"), w.path("d")))
	require.Equal(t, []string{"RENAME a", "CREATE b/c", "RENAME b", "CREATE d"}, s.changes(t))
	write(t, w.path("d", "c", "deep", "er", "file"), "")
	require.Equal(t, []string{"CREATE d/c/deep/er/file"}, s.changes(t), "by its new name")
}

func TestWatchDir_Recursive_LetsGoOfWhatMovesOutAndTakesInWhatMovesIn(t *testing.T) {
	w := newWorld(t)
	outside := newWorld(t)
	makeDirectory(t, w.path("tree", "below"))
	write(t, outside.path("foreign", "below", "file"), "")
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	require.NoError(t, os.Rename(w.path("tree"), outside.path("tree")))
	require.Equal(t, []string{"RENAME tree"}, s.changes(t))
	require.Eventually(t, func() bool { return inotifyWatches(t) == 1+s.markers }, patience, moveGrace, "the tree is let go")
	write(t, outside.path("tree", "below", "private"), "")
	require.Empty(t, s.changes(t), "what happens elsewhere is not told")

	require.NoError(t, os.Rename(outside.path("foreign"), w.path("home")))
	require.Equal(t, []string{"CREATE home", "CREATE home/below", "CREATE home/below/file"}, s.changes(t))
	require.NoError(t, os.Truncate(w.path("home", "below", "file"), 10))
	require.Equal(t, []string{"WRITE home/below/file"}, s.changes(t))
}

// inotifyWatches counts the directories this process watches.
func inotifyWatches(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fdinfo")
	require.NoError(t, err)
	count := 0
	for _, entry := range entries {
		content, err := os.ReadFile("/proc/self/fdinfo/" + entry.Name())
		if err == nil {
			count += countLines(string(content), "inotify wd:")
		}
	}
	return count
}

func TestWatchDir_Recursive_LooksWhereTheUserAloneCouldNot(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("secret", "room"))
	require.NoError(t, os.Chmod(w.path("secret"), 0o700))
	s := w.watch(t, as("nobody", &pb.WatchDirRequest{Path: w.directory, Recursive: true, IncludeEntry: true}))
	write(t, w.path("secret", "room", "key"), "")
	event := s.next()
	require.Equal(t, "CREATE secret/room/key", spell(event))
	require.Equal(t, "key", event.GetEntry().GetName())
}

func TestWatchDir_Recursive_DoesNotFollowLinksOrMountsInCircles(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("a", "b"))
	require.NoError(t, os.Symlink("..", w.path("a", "up")))
	makeDirectory(t, w.path("a", "again"))
	require.NoError(t, unix.Mount(w.directory, w.path("a", "again"), "", unix.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(w.path("a", "again"), 0)) })
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	write(t, w.path("a", "b", "file"), "")
	require.Equal(t, []string{"CREATE a/b/file"}, s.changes(t))
	require.NoError(t, os.Chmod(w.path("a", "again", "a"), 0o700))
	require.Equal(t, []string{"CHMOD a"}, s.changes(t))
}

func TestWatchDir_Recursive_WatchesNoMoreDirectoriesThanItsLimit(t *testing.T) {
	w := newWorld(t)
	w.service.limits.directories = 4
	makeDirectory(t, w.path("1", "2", "3"))
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	makeDirectory(t, w.path("4"))
	require.Equal(t, "CREATE 4", spell(s.next()))
	require.Nil(t, s.next())
	requireCode(t, connect.CodeResourceExhausted, "too many directories", s.Err())
	err := calls["WatchDir"](t.Context(), w, "root", w.directory)
	require.NoError(t, err, "without what is below there is room")
	stream, err := w.WatchDir(t.Context(), connect.NewRequest(&pb.WatchDirRequest{Path: ".", Recursive: true}))
	require.NoError(t, err)
	require.False(t, stream.Receive())
	requireCode(t, connect.CodeResourceExhausted, "too many directories", stream.Err())
	require.NoError(t, stream.Close())
}

func TestWatchDir_Recursive_EndsWhenTooMuchMovesInAtOnce(t *testing.T) {
	w := newWorld(t)
	outside := newWorld(t)
	for i := range 20 {
		write(t, outside.path("tree", fmt.Sprint(i)), "")
	}
	w.service.limits.events = 10
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	require.NoError(t, os.Rename(outside.path("tree"), w.path("tree")))
	for s.next() != nil {
	}
	requireCode(t, connect.CodeDataLoss, "some are missing", s.Err())
}

func TestWatchDir_Recursive_EndsWhenWhatMovesInTakesTooMuchMemory(t *testing.T) {
	w := newWorld(t)
	outside := newWorld(t)
	for i := range 20 {
		path := write(t, outside.path("tree", fmt.Sprint(i)), "")
		require.NoError(t, shared.SetMetadata(path, map[string]string{"key": strings.Repeat("x", 2000)}))
	}
	w.service.limits.bufferedBytes = 20_000
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	require.NoError(t, os.Rename(outside.path("tree"), w.path("tree")))
	require.Len(t, s.changes(t), 21, "without entries it fits")
	require.NoError(t, os.Rename(w.path("tree"), outside.path("tree")))
	s = w.watchRoot(t, &pb.WatchDirRequest{Recursive: true, IncludeEntry: true})
	require.NoError(t, os.Rename(outside.path("tree"), w.path("tree")))
	for s.next() != nil {
	}
	requireCode(t, connect.CodeDataLoss, "some are missing", s.Err())
}

func TestWatchDir_Recursive_KeepsUpWithAStorm(t *testing.T) {
	w := newWorld(t)
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	storm := exec.CommandContext(t.Context(), "sh", "-ec", `
		for i in $(seq 20); do
			mkdir -p a/$i/x; mv a/$i b$i; mkdir a/$i; mv b$i a/$i/y; echo >a/$i/y/x/f; mv a/$i c$i; rm -r c$i/y; mv c$i a/kept$i
		done; mkdir a/kept10/last`)
	storm.Dir = w.directory
	require.NoError(t, storm.Run())
	s.changes(t)
	for i := range 20 {
		name := fmt.Sprintf("a/kept%d/end", i+1)
		write(t, w.path(name), "")
		require.Equal(t, []string{"CREATE " + name}, s.changes(t), "the tree is known as it is")
	}
}
