package hostagent

import (
	"context"
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
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

const testVolume = "vtest000000000000001"

// createWith creates a sandbox with volumes, and kills it when the test ends.
func (a *agentUnderTest) createWith(t *testing.T, sandboxID, build string, mounts ...*pb.VolumeMount) {
	t.Helper()
	a.killAfter(t, sandboxID)
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: sandboxID, BuildId: build, VolumeMounts: mounts, Identity: &pb.Identity{LifecycleId: sandboxID},
	}))
	require.NoError(t, err)
}

// content sends a request about the volume's content, as the control plane does.
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

// eventually runs a script in a guest until it prints a text: a guest sees what another
// has written after a second at most.
func (a *agentUnderTest) eventually(t *testing.T, id, script, want string) {
	t.Helper()
	const patience = 30 * time.Second
	require.Eventually(t, func() bool { return a.run(t, id, script) == want }, patience, 200*time.Millisecond, "%s does not print %q", script, want)
}

// withVolume is two sandboxes that have mounted the same new volume.
type withVolume struct {
	*agentUnderTest
	first, second string
}

// volumeTests run on one agent in any order, each with a volume and sandboxes of its own.
var volumeTests = map[string]func(t *testing.T, v withVolume){
	"what one sandbox writes, another and clients read":       testSharedFiles,
	"it is a file system for programs and for several users":  testVolumeFileSystem,
	"it holds no more than its limit":                         testVolumeLimit,
	"a sandbox without the volume reaches no server":          testWithoutVolume,
	"a program continues to write after a pause":              testVolumeAcrossPause,
	"a program continues to write after the agent's restart":  testVolumeAcrossRestart,
	"a fork has the volume, a snapshot's sandbox does not":    testVolumeOfCopies,
	"a guest that boots again has the volume and its content": testVolumeAcrossBoot,
}

func TestVolumes(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir, keepRunning)
	t.Cleanup(func() { a.abort(t) })
	for name, test := range volumeTests {
		t.Run(name, func(t *testing.T) { test(t, a.startWithVolume(t)) })
	}
	status, _ := a.content(t, http.MethodGet, "dir", "/", "")
	require.Equal(t, http.StatusNotFound, status, "the volume is deleted")
	a.restart(t) // an agent that does not keep sandboxes running leaves nothing
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

// startWithVolume makes a volume and two sandboxes with it, until the test ends.
func (a *agentUnderTest) startWithVolume(t *testing.T) withVolume {
	t.Helper()
	_, err := a.CreateVolume(t.Context(), connect.NewRequest(&pb.CreateVolumeRequest{VolumeId: testVolume}))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := a.DeleteVolume(context.Background(), connect.NewRequest(&pb.DeleteVolumeRequest{VolumeId: testVolume}))
		require.NoError(t, err)
	})
	v := withVolume{agentUnderTest: a, first: id.NewSandbox(), second: id.NewSandbox()}
	for _, sandboxID := range []string{v.first, v.second} {
		a.createWith(t, sandboxID, a.build, &pb.VolumeMount{VolumeId: testVolume, Path: "/mnt/shared"})
	}
	require.Empty(t, a.run(t, v.first, "echo hello > /mnt/shared/greeting"))
	a.eventually(t, v.second, "cat /mnt/shared/greeting", "hello")
	return v
}

func testSharedFiles(t *testing.T, v withVolume) {
	status, body := v.content(t, http.MethodGet, "file", "/greeting", "")
	require.Equal(t, "200 hello\n", strconv.Itoa(status)+" "+body)
	status, _ = v.content(t, http.MethodPut, "file", "/from-client", "fresh")
	require.Equal(t, http.StatusCreated, status)
	v.eventually(t, v.first, "cat /mnt/shared/from-client", "fresh")
	for _, content := range []string{"a long content\n", "short\n"} {
		v.send(t, v.first, "/mnt/shared/sent/file", []byte(content))
	}
	require.Equal(t, "short 2 user", v.run(t, v.first, "echo $(cat /mnt/shared/sent/file; stat -c %U /mnt/shared/sent /mnt/shared/sent/file | uniq -c; ls -A /mnt/shared/sent | grep -v '^file$')"))
}

func testVolumeFileSystem(t *testing.T, v withVolume) {
	require.Equal(t, "ok", v.run(t, v.first, `set -e; cd /mnt/shared; mkdir -p d/e; for i in $(seq 300); do : > d/f$i; done
		[ $(ls d | wc -l) = 301 ]; mv d/f1 d/e/g; ln d/e/g d/h; ln -s e/g d/s; [ $(stat -c %h d/h) = 2 ]; readlink d/s >/dev/null
		head -c 3000000 /dev/urandom > d/big; cp d/big /tmp/big; cmp d/big /tmp/big; truncate -s 10 d/big; [ $(stat -c %s d/big) = 10 ]
		git init -q repository 2>/dev/null; touch -d 2001-02-03 d/big; [ $(stat -c %Y d/big) = $(date -d 2001-02-03 +%s) ]
		rm -r d; python3 -c 'import sqlite3; sqlite3.connect("db").execute("create table t(a)")'; rm -r db repository; echo ok`))
	require.Equal(t, "denied", v.run(t, v.first, `sudo sh -c 'echo s > /mnt/shared/secret; chmod 600 /mnt/shared/secret; mkdir -m 755 /mnt/shared/roots'
		cat /mnt/shared/secret 2>/dev/null || echo x 2>/dev/null > /mnt/shared/roots/x || echo denied`))
	require.Equal(t, "0 600", v.run(t, v.first, `stat -c '%u %a' /mnt/shared/secret; sudo rm -r /mnt/shared/secret /mnt/shared/roots`))
	require.Contains(t, v.run(t, v.first, "sudo mknod /mnt/shared/disk b 8 0 2>&1"), "not permitted")
	require.Equal(t, "755", v.run(t, v.first, "cp /bin/true /mnt/shared/t; chmod 4755 /mnt/shared/t; rm -f /mnt/shared/copy; stat -c %a /mnt/shared/t; rm /mnt/shared/t"))
}

func testVolumeLimit(t *testing.T, v withVolume) {
	limit := func(bytes uint64) {
		_, err := v.CreateVolume(t.Context(), connect.NewRequest(&pb.CreateVolumeRequest{VolumeId: testVolume, MaxBytes: bytes}))
		require.NoError(t, err)
	}
	const mebibyte = 1 << 20
	limit(16 * mebibyte)
	require.Contains(t, v.run(t, v.first, "dd if=/dev/zero of=/mnt/shared/large bs=1M count=32 conv=fsync 2>&1"), "Disk quota exceeded")
	require.Equal(t, "16384", v.run(t, v.first, "rm /mnt/shared/large; df -k --output=size /mnt/shared | tail -n 1 | tr -d ' '"))
	require.Equal(t, "fits", v.run(t, v.first, "dd if=/dev/zero of=/mnt/shared/large bs=1M count=8 conv=fsync status=none && rm /mnt/shared/large && echo fits"))
	status, _ := v.content(t, http.MethodPut, "file", "/large", strings.Repeat("x", 17*mebibyte))
	require.Equal(t, http.StatusInsufficientStorage, status)
}

func testWithoutVolume(t *testing.T, v withVolume) {
	const connectToServer = "timeout 5 bash -c '</dev/tcp/169.254.7.1/2049' 2>/dev/null && echo open || echo closed"
	without := id.NewSandbox()
	v.createWith(t, without, v.build)
	require.Equal(t, "closed", v.run(t, without, connectToServer))
	require.Equal(t, "open", v.run(t, v.first, connectToServer))
}

// startCounting runs a program in the first sandbox that writes a line to the volume ten
// times a second.
func (v withVolume) startCounting(t *testing.T) {
	t.Helper()
	v.run(t, v.first, "(exec >>/mnt/shared/count 2>/dev/null; i=0; while :; do i=$((i+1)); echo $i; sync -d /mnt/shared/count; sleep 0.1; done) &")
	v.requireCounting(t)
}

func (v withVolume) counted(t *testing.T) int {
	t.Helper()
	_, body := v.content(t, http.MethodGet, "file", "/count", "")
	return strings.Count(body, "\n")
}

func (v withVolume) requireCounting(t *testing.T) {
	t.Helper()
	earlier := v.counted(t)
	require.Eventually(t, func() bool { return v.counted(t) > earlier }, time.Minute, 200*time.Millisecond, "%d lines", earlier)
}

func testVolumeAcrossPause(t *testing.T, v withVolume) {
	v.startCounting(t)
	v.pause(t, v.first)
	stopped := v.counted(t)
	v.eventually(t, v.second, "cat /mnt/shared/greeting", "hello")
	require.Equal(t, stopped, v.counted(t))
	v.resume(t, v.first)
	v.requireCounting(t)
}

func testVolumeAcrossRestart(t *testing.T, v withVolume) {
	v.startCounting(t)
	v.restart(t, keepRunning)
	v.requireCounting(t)
	v.eventually(t, v.second, "cat /mnt/shared/greeting", "hello")
}

func testVolumeOfCopies(t *testing.T, v withVolume) {
	fork, copied, build := id.NewSandbox(), id.NewSandbox(), uuid.NewString()
	v.killAfter(t, fork)
	forked, err := v.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{
		SandboxId: v.second, Forks: []*pb.Fork{{SandboxId: fork, Identity: &pb.Identity{LifecycleId: fork}}},
	}))
	require.NoError(t, err)
	require.Empty(t, forked.Msg.Results[0].Error)
	v.eventually(t, fork, "cat /mnt/shared/greeting", "hello")

	_, err = v.SnapshotSandbox(t.Context(), connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: v.second, BuildId: build}))
	require.NoError(t, err)
	v.createWith(t, copied, build)
	require.Equal(t, "0", v.run(t, copied, "ls /mnt/shared | wc -l; grep -c ' nfs ' /proc/mounts | grep -v 0"))
	_, err = v.DeleteSnapshot(t.Context(), connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
	require.NoError(t, err)
	require.Equal(t, "hello", v.run(t, v.second, "cat /mnt/shared/greeting"))
}

func testVolumeAcrossBoot(t *testing.T, v withVolume) {
	// The file is neither closed nor synced.
	v.run(t, v.second, "(exec 3>/mnt/shared/late; echo late >&3; touch /tmp/written; exec sleep 1000) >/dev/null 2>&1 & until [ -e /tmp/written ]; do sleep 0.05; done")
	_, err := v.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: v.second, WithoutMemory: true}))
	require.NoError(t, err)
	v.resume(t, v.second)
	require.Equal(t, "late", v.run(t, v.second, "cat /mnt/shared/late"))
}
