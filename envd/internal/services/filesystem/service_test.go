package filesystem

import (
	"context"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

func TestMakeDir_MakesParentsThatBelongToTheCaller(t *testing.T) {
	w := newWorld(t)
	makeDirectory(t, w.path("home")) // root's
	response, err := w.MakeDir(t.Context(), as("nobody", &pb.MakeDirRequest{Path: "home/a/b"}))
	require.NoError(t, err)
	require.Equal(t, w.path("home/a/b"), response.Msg.GetEntry().GetPath())
	for _, made := range []string{"home/a", "home/a/b"} {
		entry := w.stat(t, made)
		require.Equal(t, "nobody", entry.GetOwner())
		require.Equal(t, "nogroup", entry.GetGroup())
		require.Equal(t, "drwxr-xr-x", entry.GetPermissions())
	}
}

func TestMove_MakesParentsAndReplacesAFile(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("old"), "new content")
	write(t, w.path("a", "b", "target"), "old content")
	response, err := w.Move(t.Context(), connect.NewRequest(&pb.MoveRequest{Source: "old", Destination: "a/b/target"}))
	require.NoError(t, err)
	require.Equal(t, "target", response.Msg.GetEntry().GetName())
	content, err := os.ReadFile(w.path("a/b/target"))
	require.NoError(t, err)
	require.Equal(t, "new content", string(content))
	_, err = w.Move(t.Context(), connect.NewRequest(&pb.MoveRequest{Source: "a", Destination: "x/y/z"}))
	require.NoError(t, err)
	require.FileExists(t, w.path("x/y/z/b/target"))
}

// Inside a guest the user is no boundary: it has sudo.
func TestCalls_GoWhereTheUserAloneCouldNot(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("secret", "key"), "")
	require.NoError(t, os.Chmod(w.path("secret"), 0o700))
	require.NoError(t, os.Chmod(w.directory, 0o700))
	for name, path := range map[string]string{
		"Stat": "secret/key", "ListDir": "secret", "MakeDir": "secret/room", "CreateWatcher": "secret", "WatchDir": "secret",
	} {
		require.NoError(t, calls[name](t.Context(), w, "nobody", path), name)
	}
	require.NoError(t, calls["Move"](t.Context(), w, "nobody", "secret/key>secret/new/place/key"))
	require.Equal(t, "nobody", w.stat(t, "secret/new/place").GetOwner())
	require.Equal(t, "root", w.stat(t, "secret/new/place/key").GetOwner(), "what is moved stays whose it was")
	require.NoError(t, calls["Remove"](t.Context(), w, "nobody", "secret"))
	require.NoDirExists(t, w.path("secret"))
}

func TestMove_OfNothingMakesNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.Move(t.Context(), connect.NewRequest(&pb.MoveRequest{Source: "missing", Destination: "new/place"}))
	requireCode(t, connect.CodeNotFound, "missing", err)
	require.NoDirExists(t, w.path("new"))
}

func TestRemove_TakesTreesAndLinksButNotWhatLinksLeadTo(t *testing.T) {
	w := newWorld(t)
	kept := write(t, w.path("kept", "file"), "")
	makeDirectory(t, w.path("tree", "a", "b"))
	require.NoError(t, os.Symlink("../kept", w.path("tree", "link")))
	for range 2 { // what is not there is removed already
		_, err := w.Remove(t.Context(), connect.NewRequest(&pb.RemoveRequest{Path: "tree"}))
		require.NoError(t, err)
		require.NoDirExists(t, w.path("tree"))
	}
	require.FileExists(t, kept)
}

// call is one RPC on a path, as a user.
type call func(ctx context.Context, w *world, user, path string) error

var calls = map[string]call{
	"Stat": func(ctx context.Context, w *world, user, path string) error {
		_, err := w.Stat(ctx, as(user, &pb.StatRequest{Path: path}))
		return err
	},
	"ListDir": func(ctx context.Context, w *world, user, path string) error {
		_, err := w.ListDir(ctx, as(user, &pb.ListDirRequest{Path: path}))
		return err
	},
	"MakeDir": func(ctx context.Context, w *world, user, path string) error {
		_, err := w.MakeDir(ctx, as(user, &pb.MakeDirRequest{Path: path}))
		return err
	},
	"Remove": func(ctx context.Context, w *world, user, path string) error {
		_, err := w.Remove(ctx, as(user, &pb.RemoveRequest{Path: path}))
		return err
	},
	// Move takes "source>destination", or a source alone.
	"Move": func(ctx context.Context, w *world, user, path string) error {
		source, destination, found := strings.Cut(path, ">")
		if !found {
			destination = "/tmp/never-made"
		}
		_, err := w.Move(ctx, as(user, &pb.MoveRequest{Source: source, Destination: destination}))
		return err
	},
	"CreateWatcher": func(ctx context.Context, w *world, user, path string) error {
		_, err := w.CreateWatcher(ctx, as(user, &pb.CreateWatcherRequest{Path: path}))
		return err
	},
	"WatchDir": func(ctx context.Context, w *world, user, path string) error {
		ctx, leave := context.WithTimeout(ctx, patience)
		defer leave()
		stream, err := w.WatchDir(ctx, as(user, &pb.WatchDirRequest{Path: path}))
		if err != nil {
			return err
		}
		defer func() { leave(); _ = stream.Close() }()
		if stream.Receive() {
			return nil
		}
		return stream.Err()
	},
}

func TestBadInput_GetsACodeAndAMessage(t *testing.T) {
	w := newWorld(t)
	write(t, w.path("file"), "")
	write(t, w.path("secret", "key"), "")
	makeDirectory(t, w.path("secret", "room"))
	makeDirectory(t, w.path("full", "of", "things"))
	require.NoError(t, os.Chmod(w.path("secret"), 0o700))
	require.NoError(t, os.Symlink("circle", w.path("circle")))
	require.NoError(t, os.Symlink("nowhere", w.path("dangling")))
	mountTmpfs(t, w.path("mounted"))
	const invalid, missing, exists = connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeAlreadyExists
	long := strings.Repeat("x", 300)
	for name, row := range map[string][]struct {
		user, path string
		code       connect.Code
		message    string
	}{
		"every": {
			{"root", "a\x00b", invalid, "NUL"},
			{"root", "~other/x", invalid, "home"},
			{"root", "/" + strings.Repeat("x/", 3000), invalid, "too long"},
			{"no-such-user", "file", invalid, "does not exist"},
		},
		"Stat": {
			{"root", "missing", missing, "missing"},
			{"root", "file/below", missing, "below"},
			{"root", long, invalid, "too long"},
		},
		"ListDir": {
			{"root", "missing", missing, "missing"},
			{"root", "file", invalid, "not a directory"},
			{"root", "circle", invalid, "symbolic links"},
		},
		"MakeDir": {
			{"root", "full", exists, "exists"},
			{"root", "/", exists, "exists"},
			{"root", "file", invalid, "not a directory"},
			{"root", "file/below", invalid, "not a directory"},
			{"root", "dangling", invalid, "not a directory"},
			{"root", "dangling/below", invalid, "not a directory"},
			{"root", "/proc/x", missing, "/proc/x"},
		},
		"Remove": {
			{"root", "/", invalid, "root directory"},
			{"root", "/tmp/../..", invalid, "root directory"},
			{"root", "", invalid, "must be given"},
			{"root", "mounted", connect.CodeFailedPrecondition, "busy"},
		},
		"Move": {
			{"root", "missing", missing, "missing"},
			{"root", "file>file", invalid, "the same"},
			{"root", "file>./full/../file", invalid, "the same"},
			{"root", "full>full/of/things/new", invalid, "into itself"},
			{"root", "/>/x", invalid, "into itself"},
			{"root", "file>full", exists, "exists"},
			{"root", "full>secret", exists, "exists"},
			{"root", "file>mounted/file", invalid, "cross-device"},
			{"root", "file>x\x00y", invalid, "NUL"},
			{"root", "file>file/x", invalid, "into itself"},
			{"root", "full>file/x", invalid, "not a directory"},
		},
		"CreateWatcher": {
			{"root", "missing", missing, "missing"},
			{"root", "file", invalid, "not a directory"},
		},
		"WatchDir": {
			{"root", "missing", missing, "missing"},
			{"root", "file", invalid, "not a directory"},
		},
	} {
		for called, do := range calls {
			if name != called && name != "every" {
				continue
			}
			for _, test := range row {
				err := do(t.Context(), w, test.user, test.path)
				require.Error(t, err, "%s %.40q as %s", called, test.path, test.user)
				require.Equal(t, test.code.String(), connect.CodeOf(err).String(), "%s %.40q as %s: %v", called, test.path, test.user, err)
				require.Contains(t, err.Error(), test.message, "%s %.40q", called, test.path)
			}
		}
	}
	require.FileExists(t, w.path("secret", "key"))
	require.DirExists(t, w.path("full", "of", "things"))
	require.Zero(t, openInotifies(t), "a watch that did not begin leaves nothing")
}

func TestBadInput_OfAWatcherIsNotFound(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"", "unknown", "\x00"} {
		_, err := w.GetWatcherEvents(t.Context(), connect.NewRequest(&pb.GetWatcherEventsRequest{WatcherId: id}))
		requireCode(t, connect.CodeNotFound, "no such watcher", err)
		_, err = w.RemoveWatcher(t.Context(), connect.NewRequest(&pb.RemoveWatcherRequest{WatcherId: id}))
		requireCode(t, connect.CodeNotFound, "no such watcher", err)
	}
}
