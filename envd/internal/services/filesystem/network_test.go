package filesystem

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

func TestNetworkMounts_AreRefusedUnlessAllowed(t *testing.T) {
	w := newWorld(t)
	mountFUSE(t, makeDirectory(t, w.path("top", "remote")))
	for name, request := range map[string]*pb.WatchDirRequest{
		"itself":       {Path: "top/remote"},
		"below a tree": {Path: "top", Recursive: true},
	} {
		for _, allowed := range []bool{false, true} {
			request.AllowNetworkMounts = allowed
			ctx, leave := context.WithCancel(t.Context())
			stream, err := w.WatchDir(ctx, connect.NewRequest(request))
			require.NoError(t, err)
			require.Equal(t, allowed, stream.Receive(), "%s: %v", name, stream.Err())
			if !allowed {
				requireCode(t, connect.CodeInvalidArgument, w.path("top/remote")+": it is on a network mount", stream.Err())
			}
			leave()
			_ = stream.Close()
		}
	}
	_, err := w.CreateWatcher(t.Context(), connect.NewRequest(&pb.CreateWatcherRequest{Path: "top/remote"}))
	requireCode(t, connect.CodeInvalidArgument, "network mount", err)
	require.NoError(t, calls["WatchDir"](t.Context(), w, "root", "top"), "what is not looked into may be anything")
	mountTmpfs(t, w.path("local"))
	require.NoError(t, calls["WatchDir"](t.Context(), w, "root", "local"))
}

func TestMounts_AreKnownByTheirNearestMountPoint(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	write(t, table, `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /home/user/with\040blank rw shared:2 master:1 - nfs4 host:/export rw
31 22 0:26 / /data rw - fuse.sshfs someone@host:/ rw
32 31 0:27 / /data/local rw - tmpfs none rw
33 22 0:28 / /covered rw - 9p host rw
34 33 0:29 / /covered rw - tmpfs none rw
35 22 0:30 / /block rw - fuseblk /dev/sdb rw
malformed
36 22 0:31 / - - 
`)
	known, err := readMounts(table)
	require.NoError(t, err)
	for path, want := range map[string]bool{
		"/": false, "/home/user": false, "/home/user/with": false, "/home/user/with blank": true, "/home/user/with blank/a/b": true,
		"/data": true, "/data/x": true, "/data/local": false, "/data/local/x": false, "/data/localx": true,
		"/covered/x": false, "/block": false, "relative": false,
	} {
		require.Equal(t, want, known.onNetwork(path), path)
	}
	for _, kind := range []string{"nfs", "cifs", "virtiofs", "ceph"} {
		require.True(t, isNetworkType(kind), kind)
	}
}

func TestNetworkMounts_ThatAreDeadSpoilNothingElse(t *testing.T) {
	w := newWorld(t)
	device := openFUSE(t, makeDirectory(t, w.path("dead")))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(w.path("dead"), unix.MNT_DETACH)) })
	require.NoError(t, unix.Close(device)) // the program that serves it has ended
	write(t, w.path("alive", "file"), "")
	require.Equal(t, []string{"alive", "file"}, names(w.list(t, ".", 3)))
	_, err := w.Stat(t.Context(), connect.NewRequest(&pb.StatRequest{Path: "dead"}))
	requireCode(t, connect.CodeUnavailable, "not connected", err)
	requireCode(t, connect.CodeInvalidArgument, "network mount", calls["WatchDir"](t.Context(), w, "root", "dead"))
	s := w.watchRoot(t, &pb.WatchDirRequest{Recursive: true, AllowNetworkMounts: true})
	require.NoError(t, os.Remove(w.path("alive", "file")))
	require.Equal(t, []string{"REMOVE alive/file"}, s.changes(t))
}

// mountFUSE mounts an empty file system that this process answers for: to the
// kernel it is what a network mount is, with nothing on any network.
func mountFUSE(t *testing.T, path string) {
	t.Helper()
	device := openFUSE(t, path)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		answerFUSE(device)
	}()
	t.Cleanup(func() {
		require.NoError(t, unix.Unmount(path, unix.MNT_DETACH))
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the file system is still in use")
		}
		require.NoError(t, unix.Close(device))
	})
}

// openFUSE mounts a file system without serving it.
func openFUSE(t *testing.T, path string) (device int) {
	t.Helper()
	// Not by package os: its poller is deaf to a device that was not mounted yet.
	device, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("this machine has no FUSE: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", device)
	require.NoError(t, unix.Mount("test", path, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options))
	return device
}

// answerFUSE answers the kernel's questions until the unmount. Source: fuse(4),
// linux/fuse.h.
func answerFUSE(device int) {
	const initialise, getattr, statfs, opendir, readdir, releasedir = 26, 3, 17, 27, 28, 29
	const forget, interrupt, batchForget = 2, 36, 42
	request := make([]byte, 1<<17)
	for {
		_, err := unix.Read(device, request)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue // a question was taken back
		}
		if err != nil {
			return
		}
		var body []byte
		var failure int32
		switch binary.NativeEndian.Uint32(request[4:]) {
		case initialise:
			body = make([]byte, 64)
			binary.NativeEndian.PutUint32(body, 7)
			binary.NativeEndian.PutUint32(body[4:], 31)
			binary.NativeEndian.PutUint32(body[20:], 1<<16) // the largest write
		case getattr:
			body = make([]byte, 104)
			binary.NativeEndian.PutUint64(body[16:], 1)                     // inode
			binary.NativeEndian.PutUint32(body[16+60:], unix.S_IFDIR|0o755) // mode
			binary.NativeEndian.PutUint32(body[16+64:], 2)                  // links
		case statfs:
			body = make([]byte, 80)
		case opendir:
			body = make([]byte, 16)
		case readdir, releasedir:
		case forget, interrupt, batchForget:
			continue
		default:
			failure = -int32(unix.ENOSYS)
		}
		answer := make([]byte, 16, 16+len(body))
		binary.NativeEndian.PutUint32(answer, uint32(16+len(body)))
		binary.NativeEndian.PutUint32(answer[4:], uint32(failure))
		copy(answer[8:], request[8:16])
		_, _ = unix.Write(device, append(answer, body...))
	}
}
