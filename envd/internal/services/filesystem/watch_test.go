package filesystem

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

func (w *world) watchRoot(t *testing.T, options *pb.WatchDirRequest) *stream {
	t.Helper()
	options.Path = w.directory
	return w.watch(t, connect.NewRequest(options))
}

func TestWatchDir_TellsEveryKindOfChange(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("below"))
	s := w.watchRoot(t, &pb.WatchDirRequest{})

	write(t, w.path("file"), "content")
	require.Equal(t, []string{"CREATE file", "WRITE file"}, s.changes(t))
	require.NoError(t, os.Chmod(w.path("file"), 0o600))
	require.Equal(t, []string{"CHMOD file"}, s.changes(t))
	require.NoError(t, os.Rename(w.path("file"), w.path("moved")))
	require.Equal(t, []string{"RENAME file", "CREATE moved"}, s.changes(t))
	require.NoError(t, os.Remove(w.path("moved")))
	require.Equal(t, []string{"REMOVE moved"}, s.changes(t))
	write(t, w.path("below", "unseen"), "")
	require.Empty(t, s.changes(t), "what is below is not watched")
}

func TestWatchDir_TellsNothingOfUnfinishedUploads(t *testing.T) {
	w := newWorld(t)
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true})
	write(t, w.path(shared.UploadPrefix+"1"), "content")
	require.NoError(t, os.Rename(w.path(shared.UploadPrefix+"1"), w.path("whole")))
	require.Equal(t, []string{"CREATE whole"}, s.changes(t))
}

func TestWatchDir_DescribesWhatChanged(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("real"))
	require.NoError(t, os.Symlink("real", w.path("link")))
	s := w.watch(t, connect.NewRequest(&pb.WatchDirRequest{Path: w.path("link"), IncludeEntry: true}))
	write(t, w.path("real", "odd\xff"), "")
	event := s.next()
	require.Equal(t, "CREATE odd\uFFFD", spell(event))
	require.Equal(t, w.path("link", "odd\uFFFD"), event.GetEntry().GetPath(), "as the client called it")
	require.Equal(t, "-rw-r--r--", event.GetEntry().GetPermissions())
	require.NoError(t, os.Remove(w.path("real", "odd\xff")))
	event = s.next()
	require.Equal(t, "REMOVE odd\uFFFD", spell(event))
	require.Nil(t, event.GetEntry())
}

func TestWatchDir_EndsWithItsDirectory(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *world){
		"removed": func(t *testing.T, w *world) { t.Helper(); require.NoError(t, os.Remove(w.path("parent", "watched"))) },
		"renamed": func(t *testing.T, w *world) {
			t.Helper()
			require.NoError(t, os.Rename(w.path("parent", "watched"), w.path("elsewhere")))
		},
		"unmounted": func(t *testing.T, w *world) {
			t.Helper()
			require.NoError(t, unix.Unmount(w.path("parent", "watched"), 0))
		},
	} {
		for _, recursive := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, recursive %t", name, recursive), func(t *testing.T) {
				w := newWorld(t)
				makeDirectory(t, w.path("parent", "watched"))
				if name == "unmounted" {
					mountTmpfs(t, w.path("parent", "watched"))
				}
				s := w.watch(t, connect.NewRequest(&pb.WatchDirRequest{Path: w.path("parent", "watched"), Recursive: recursive}))
				end(t, w)
				require.Nil(t, s.next())
				requireCode(t, connect.CodeNotFound, "removed, renamed or unmounted", s.Err())
			})
		}
	}
}

func TestWatchDir_NoticesAMovedParentAtTheNextPing(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("parent", "watched"))
	request := connect.NewRequest(&pb.WatchDirRequest{Path: w.path("parent", "watched")})
	request.Header().Set("Keepalive-Ping-Interval", "1")
	s := w.watch(t, request)
	require.True(t, s.Receive())
	require.NotNil(t, s.Msg().GetKeepalive(), "an idle stream shows that it lives")
	require.NoError(t, os.Rename(w.path("parent"), w.path("moved")))
	require.Nil(t, s.next())
	requireCode(t, connect.CodeNotFound, "removed, renamed or unmounted", s.Err())
}

func TestWatchDir_EndsAtItsDeadlineWithThatCode(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond))
	defer cancel()
	opened, err := w.service.openWatch(ctx, http.Header{}, &pb.WatchDirRequest{Path: w.directory})
	require.NoError(t, err)
	defer opened.close()
	defer opened.interruptOn(ctx)()
	events, err := opened.next(ctx, farFuture())
	require.Empty(t, events)
	requireCode(t, connect.CodeDeadlineExceeded, "deadline", toConnect(err))
}

func farFuture() time.Time { return time.Now().Add(time.Hour) }

func TestWatchDir_ReportsWhatTheKernelCouldNotKeep(t *testing.T) {
	w := newWorld(t)
	kernel, err := openInotify()
	require.NoError(t, err)
	defer kernel.close()
	_, err = kernel.add(w.directory, changeMask)
	require.NoError(t, err)
	watched := &watch{kernel: kernel, options: &pb.WatchDirRequest{}, limits: defaultLimits, tree: newTree(1), shown: w.directory}
	limit := maxQueued(t)
	for i := range limit/2 + 10 { // each makes two events
		require.NoError(t, os.WriteFile(w.path(fmt.Sprint(i)), nil, 0o600))
		require.NoError(t, os.Remove(w.path(fmt.Sprint(i))))
	}
	seen := 0
	for {
		events, err := watched.next(t.Context(), farFuture())
		seen += len(events)
		if err != nil {
			requireCode(t, connect.CodeDataLoss, "some are missing", toConnect(err))
			break
		}
	}
	require.Equal(t, limit, seen, "all that the kernel queued is reported before")
}

func maxQueued(t *testing.T) int {
	t.Helper()
	content, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	require.NoError(t, err)
	var limit int
	_, err = fmt.Sscan(strings.TrimSpace(string(content)), &limit)
	require.NoError(t, err)
	return limit
}
