package hostagent

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
)

const testVolume = "vtest000000000000001"

func (a *agentUnderTest) createWith(t *testing.T, id, build string, mounts ...*pb.VolumeMount) {
	t.Helper()
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: id, BuildId: build, VolumeMounts: mounts, Identity: &pb.Identity{LifecycleId: id},
	}))
	require.NoError(t, err)
}

// content asks for what is in the test's volume as the control plane does.
func (a *agentUnderTest) content(t *testing.T, method, what, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://agent/volumes/"+testVolume+"/"+what+"?path="+path, strings.NewReader(body))
	require.NoError(t, err)
	response, err := unixClient(a.config.RPCSocket).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// eventually runs a script in a guest until it prints something: what another
// guest has written is seen a second later at most.
func (a *agentUnderTest) eventually(t *testing.T, id, script, want string) {
	t.Helper()
	const patience = 30 * time.Second
	require.Eventually(t, func() bool { return a.run(t, id, script) == want }, patience, 200*time.Millisecond, "%s does not print %q", script, want)
}

// TestVolumes runs one volume's life with real guests; its parts go on from each
// other.
func TestVolumes(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	keepRunning := func(c *Config) { c.KeepRunning = true }
	a := startAgent(t, dataDir, keepRunning)
	t.Cleanup(func() { a.abort(t) })
	_, err = a.CreateVolume(t.Context(), connect.NewRequest(&pb.CreateVolumeRequest{VolumeId: testVolume}))
	require.NoError(t, err)
	const first, second, without, fork, copied = "ivolume0000000000001", "ivolume0000000000002", "ivolume0000000000003", "ivolume0000000000004", "ivolume0000000000005"
	mount := &pb.VolumeMount{VolumeId: testVolume, Path: "/mnt/shared"}

	t.Run("what one sandbox writes another reads, and clients too", func(t *testing.T) {
		a.createWith(t, first, a.build, mount)
		a.createWith(t, second, a.build, mount)
		require.Empty(t, a.run(t, first, "echo hello > /mnt/shared/greeting"))
		a.eventually(t, second, "cat /mnt/shared/greeting", "hello")
		status, body := a.content(t, http.MethodGet, "file", "/greeting", "")
		require.Equal(t, "200 hello\n", strconv.Itoa(status)+" "+body)
		status, _ = a.content(t, http.MethodPut, "file", "/from-client", "fresh")
		require.Equal(t, http.StatusCreated, status)
		a.eventually(t, first, "cat /mnt/shared/from-client", "fresh")
		for _, content := range []string{"a long content\n", "short\n"} {
			a.send(t, first, "/mnt/shared/sent/file", []byte(content))
		}
		require.Equal(t, "short 2 user", a.run(t, first, "echo $(cat /mnt/shared/sent/file; stat -c %U /mnt/shared/sent /mnt/shared/sent/file | uniq -c; ls -A /mnt/shared/sent | grep -v '^file$'; rm -r /mnt/shared/sent)"))
	})
	t.Run("it is a file system for programs and for more than one user", func(t *testing.T) {
		require.Equal(t, "ok", a.run(t, first, `set -e; cd /mnt/shared; mkdir -p d/e; for i in $(seq 300); do : > d/f$i; done
			[ $(ls d | wc -l) = 301 ]; mv d/f1 d/e/g; ln d/e/g d/h; ln -s e/g d/s; [ $(stat -c %h d/h) = 2 ]; readlink d/s >/dev/null
			head -c 3000000 /dev/urandom > d/big; cp d/big /tmp/big; cmp d/big /tmp/big; truncate -s 10 d/big; [ $(stat -c %s d/big) = 10 ]
			git init -q repository 2>/dev/null; touch -d 2001-02-03 d/big; [ $(stat -c %Y d/big) = $(date -d 2001-02-03 +%s) ]
			rm -r d; python3 -c 'import sqlite3; sqlite3.connect("db").execute("create table t(a)")'; rm -r db repository; echo ok`))
		require.Equal(t, "denied", a.run(t, first, `sudo sh -c 'echo s > /mnt/shared/secret; chmod 600 /mnt/shared/secret; mkdir -m 755 /mnt/shared/roots'
			cat /mnt/shared/secret 2>/dev/null || echo x 2>/dev/null > /mnt/shared/roots/x || echo denied`))
		require.Equal(t, "0 600", a.run(t, first, `stat -c '%u %a' /mnt/shared/secret; sudo rm -r /mnt/shared/secret /mnt/shared/roots`))
		require.Contains(t, a.run(t, first, "sudo mknod /mnt/shared/disk b 8 0 2>&1"), "not permitted")
		require.Equal(t, "755", a.run(t, first, "cp /bin/true /mnt/shared/t; chmod 4755 /mnt/shared/t; rm -f /mnt/shared/copy; stat -c %a /mnt/shared/t; rm /mnt/shared/t"))
	})
	t.Run("it holds as much as it may", func(t *testing.T) {
		limit := func(bytes uint64) {
			_, err := a.CreateVolume(t.Context(), connect.NewRequest(&pb.CreateVolumeRequest{VolumeId: testVolume, MaxBytes: bytes}))
			require.NoError(t, err)
		}
		const mebibyte = 1 << 20
		limit(16 * mebibyte)
		require.Contains(t, a.run(t, first, "dd if=/dev/zero of=/mnt/shared/large bs=1M count=32 conv=fsync 2>&1"), "Disk quota exceeded")
		require.Equal(t, "16384", a.run(t, first, "rm /mnt/shared/large; df -k --output=size /mnt/shared | tail -n 1 | tr -d ' '"))
		require.Equal(t, "fits", a.run(t, first, "dd if=/dev/zero of=/mnt/shared/large bs=1M count=8 conv=fsync status=none && rm /mnt/shared/large && echo fits"))
		status, _ := a.content(t, http.MethodPut, "file", "/large", strings.Repeat("x", 17*mebibyte))
		require.Equal(t, http.StatusInsufficientStorage, status)
		limit(0)
	})
	t.Run("a sandbox without the volume reaches no server", func(t *testing.T) {
		a.createWith(t, without, a.build)
		require.Equal(t, "closed", a.run(t, without, "timeout 5 bash -c '</dev/tcp/169.254.7.1/2049' 2>/dev/null && echo open || echo closed"))
		require.Equal(t, "open", a.run(t, first, "timeout 5 bash -c '</dev/tcp/169.254.7.1/2049' 2>/dev/null && echo open || echo closed"))
	})
	counted := func(a *agentUnderTest) int {
		_, body := a.content(t, http.MethodGet, "file", "/count", "")
		return strings.Count(body, "\n")
	}
	goesOn := func(t *testing.T) {
		earlier := counted(a)
		require.Eventually(t, func() bool { return counted(a) > earlier }, time.Minute, 200*time.Millisecond, "%d lines", earlier)
	}
	t.Run("a program that writes goes on after a pause", func(t *testing.T) {
		a.run(t, first, "(exec >>/mnt/shared/count 2>/dev/null; i=0; while :; do i=$((i+1)); echo $i; sync -d /mnt/shared/count; sleep 0.1; done) & echo $! > /tmp/pid")
		goesOn(t)
		a.pause(t, first)
		stopped := counted(a)
		a.eventually(t, second, "cat /mnt/shared/greeting", "hello")
		require.Equal(t, stopped, counted(a))
		a.resume(t, first)
		goesOn(t)
	})
	t.Run("and after a restart of the agent", func(t *testing.T) {
		a.shutDown(t)
		a = startAgent(t, dataDir, keepRunning)
		goesOn(t)
		a.eventually(t, second, "cat /mnt/shared/greeting", "hello")
	})
	t.Run("a fork has the volume, and a snapshot's sandbox only if it asks for it", func(t *testing.T) {
		forked, err := a.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{
			SandboxId: second, Forks: []*pb.Fork{{SandboxId: fork, Identity: &pb.Identity{LifecycleId: fork}}},
		}))
		require.NoError(t, err)
		require.Empty(t, forked.Msg.Results[0].Error)
		a.eventually(t, fork, "cat /mnt/shared/greeting", "hello")
		a.kill(t, fork)
		build := uuid.NewString()
		_, err = a.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: second, BuildId: build}))
		require.NoError(t, err)
		a.createWith(t, copied, build)
		require.Equal(t, "0", a.run(t, copied, "ls /mnt/shared | wc -l; grep -c ' nfs ' /proc/mounts | grep -v 0"))
		a.kill(t, copied)
		_, err = a.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
		require.NoError(t, err)
		require.Equal(t, "hello", a.run(t, second, "cat /mnt/shared/greeting"))
	})
	t.Run("a guest that boots again has it", func(t *testing.T) {
		// It is neither closed nor synced.
		a.run(t, second, "(exec 3>/mnt/shared/late; echo late >&3; touch /tmp/written; exec sleep 1000) >/dev/null 2>&1 & until [ -e /tmp/written ]; do sleep 0.05; done")
		_, err := a.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: second, WithoutMemory: true}))
		require.NoError(t, err)
		a.resume(t, second)
		require.Equal(t, "late", a.run(t, second, "cat /mnt/shared/late"))
	})
	for _, id := range []string{first, second, without} {
		a.kill(t, id)
	}
	_, err = a.DeleteVolume(t.Context(), connect.NewRequest(&pb.DeleteVolumeRequest{VolumeId: testVolume}))
	require.NoError(t, err)
	status, _ := a.content(t, http.MethodGet, "dir", "/", "")
	require.Equal(t, http.StatusNotFound, status)
	a.shutDown(t)
	a = startAgent(t, dataDir)
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}
