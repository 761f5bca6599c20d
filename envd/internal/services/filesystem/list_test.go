package filesystem

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

func (w *world) list(t *testing.T, path string, depth uint32) []*pb.EntryInfo {
	t.Helper()
	response, err := w.ListDir(t.Context(), connect.NewRequest(&pb.ListDirRequest{Path: path, Depth: depth}))
	require.NoError(t, err)
	return response.Msg.GetEntries()
}

func names(entries []*pb.EntryInfo) []string {
	list := []string{}
	for _, entry := range entries {
		list = append(list, entry.GetName())
	}
	return list
}

func paths(entries []*pb.EntryInfo) []string {
	list := []string{}
	for _, entry := range entries {
		list = append(list, entry.GetPath())
	}
	return list
}

func TestListDir_GoesAsDeepAsItIsAsked(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("top", "one", "two", "three"), "")
	write(t, w.path("top", "file"), "")
	makeDirectory(t, w.path("top", "empty"))
	first := []string{"empty", "file", "one"}
	for depth, want := range map[uint32][]string{
		0: first, 1: first, 2: append(first, "two"), 3: append(first, "two", "three"), math.MaxUint32: append(first, "two", "three"),
	} {
		require.Equal(t, want, names(w.list(t, "top", depth)), "depth %d", depth)
	}
	require.Empty(t, w.list(t, "top/empty", 1))
}

func TestListDir_FollowsTheLinkItIsGivenAndNoOther(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("real", "below", "file"), "")
	require.NoError(t, os.Symlink("..", w.path("real", "loop")))
	require.NoError(t, os.Symlink("real", w.path("link")))
	require.Equal(t,
		[]string{w.path("link/below"), w.path("link/below/file"), w.path("link/loop")},
		paths(w.list(t, "link", 10)), "paths are as the client called them")
}

func TestListDir_OfManyEntriesIsWholeAndInOrder(t *testing.T) {
	w := newWorld(t)
	want := []string{}
	for i := range readAtOnce + 1 {
		want = append(want, fmt.Sprintf("%05d", i))
		write(t, w.path("many", want[i]), "")
	}
	require.Equal(t, want, names(w.list(t, "many", 1)))
}

func TestListDir_RefusesWhatTakesTooMuchMemory(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		write(t, w.path("many", fmt.Sprint(i%2), fmt.Sprint(i)), "")
	}
	w.service.listBytes = 10 * entryOverhead
	_, err := w.ListDir(t.Context(), connect.NewRequest(&pb.ListDirRequest{Path: "many", Depth: 2}))
	requireCode(t, connect.CodeResourceExhausted, "too long", err)
	require.Len(t, w.list(t, "many", 1), 2)
}

func TestListDir_StopsWhenItsClientLeaves(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("file"), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.service.ListDir(ctx, connect.NewRequest(&pb.ListDirRequest{Path: "."}))
	requireCode(t, connect.CodeCanceled, "context canceled", err)
}

func TestListDir_ShowsWhatTheUserAloneCouldNotRead(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("secret", "key"), "")
	require.NoError(t, os.Chmod(w.path("secret"), 0o700))
	response, err := w.ListDir(t.Context(), as("nobody", &pb.ListDirRequest{Path: ".", Depth: 5}))
	require.NoError(t, err)
	require.Equal(t, []string{"secret", "key"}, names(response.Msg.GetEntries()))
}
