package hostagent

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// TestHostileGuests runs attacks in a guest, each beside a neighbour that must not be
// affected.
func TestHostileGuests(t *testing.T) {
	dataDir := dataDir(t)
	a := startAgent(t, dataDir, func(config *Config) { config.Limits.Connections = mostConnections })
	t.Cleanup(func() { a.abort(t) })
	const neighbour, hostile = "ineighbour0000000001", "ihostile000000000001"
	require.NoError(t, a.create(t.Context(), neighbour))
	for name, attack := range map[string]func(*testing.T, *agentUnderTest, string, string){
		"floods its console":   testConsoleFlood,
		"fills its disk":       testFullGuestDisk,
		"forks without end":    testForkBomb,
		"replaces its agent":   testImpostors,
		"connects without end": testConnections,
	} {
		t.Run("a guest that "+name, func(t *testing.T) {
			require.NoError(t, a.create(t.Context(), hostile))
			attack(t, a, dataDir, hostile)
			require.Equal(t, "calm", a.run(t, neighbour, "echo calm"))
			a.kill(t, hostile)
		})
	}
	t.Run("a guest whose agent is silent does not delay a stop", func(t *testing.T) {
		require.NoError(t, a.create(t.Context(), hostile))
		a.run(t, hostile, "echo acknowledged > /home/user/file && sync /home/user/file")
		a.impersonate(t, hostile, "silent")
		awaitImpostor(t, a, hostile)
		a.shutDown(t)
		a = startAgent(t, dataDir)
		require.Equal(t, map[string]pb.SandboxState{
			neighbour: pb.SandboxState_SANDBOX_STATE_PAUSED, hostile: pb.SandboxState_SANDBOX_STATE_PAUSED,
		}, a.list(t))
		a.resume(t, hostile)
		require.Equal(t, "acknowledged", a.run(t, hostile, "cat /home/user/file"), "the VM was ended, and its disk kept")
		a.kill(t, hostile)
	})
	a.kill(t, neighbour)
	a.shutDown(t)
}

// impersonate replaces a guest's agent by another server.
func (a *agentUnderTest) impersonate(t *testing.T, id, kind string) {
	t.Helper()
	a.run(t, id, "cat > /tmp/impostor.py <<'END'\n"+impostor+"\nEND\nsudo sh -c 'python3 /tmp/impostor.py "+kind+" 6 >/dev/null 2>&1 &'")
}

func testConsoleFlood(t *testing.T, a *agentUnderTest, dataDir, id string) {
	a.run(t, id, `sudo sh -c 'yes "$(head -c 1000 /dev/zero | tr "\0" x)" > /dev/console 2>/dev/null' >/dev/null 2>&1 & sleep 2`)
	const most = 1 << 20
	logs, err := filepath.Glob(filepath.Join(dataDir, "storage", "sandboxes", id, "run", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, path := range logs {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(most), path)
	}
	a.pause(t, id)
	a.resume(t, id)
	require.Equal(t, "answers", a.run(t, id, "sudo pkill yes; echo answers"))
}

func testFullGuestDisk(t *testing.T, a *agentUnderTest, _, id string) {
	a.run(t, id, "cd /home/user; for size in 8G 4G 2G 1G 512M 256M 64M 16M 1M 64K; do while fallocate -l $size fill.$(date +%N) 2>/dev/null; do :; done; done")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://guest/files?path=/home/user/more", strings.NewReader(strings.Repeat("x", 2<<20)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := (&http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}}).Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusInsufficientStorage, response.StatusCode)
	a.pause(t, id)
	a.resume(t, id)
	require.Equal(t, "room", a.run(t, id, "cd /home/user; ls more 2>/dev/null; rm -f fill.*; head -c 1M /dev/zero > more && echo room"))
}

func testForkBomb(t *testing.T, a *agentUnderTest, _, id string) {
	// It starts after the command has been answered, because the guest then answers late.
	a.run(t, id, "nohup bash -c 'sleep 1; bomb() { bomb | bomb & }; bomb' >/dev/null 2>&1 &")
	require.Eventually(t, func() bool {
		listed, err := a.ListSamples(t.Context(), connect.NewRequest(&pb.ListSamplesRequest{SandboxIds: []string{id}}))
		require.NoError(t, err)
		require.NotEmpty(t, listed.Msg.GetSandboxes())
		samples := listed.Msg.GetSandboxes()[0].GetSamples()
		busy := 0
		for _, sample := range samples[max(0, len(samples)-2):] {
			if sample.GetCpuUsedPercent() > 50 {
				busy++
			}
		}
		return busy == 2
	}, time.Minute, 100*time.Millisecond, "the fork bomb does not start")
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// The pause may succeed or fail, but must be answered.
	_, err := a.PauseSandbox(ctx, connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id}))
	require.NoError(t, ctx.Err())
	t.Logf("pausing a fork bomb took %s: %v", time.Since(began).Round(time.Millisecond), err)
}

// mostConnections is the host's limit for each sandbox.
const mostConnections = 20

func testConnections(t *testing.T, a *agentUnderTest, _, id string) {
	startInternet(t)
	const attack = `
import socket
held = []
for _ in range(100):
    s = socket.socket()
    s.settimeout(1)
    try:
        s.connect(("203.0.113.2", 8080))
        held.append(s)
    except OSError:
        pass
print(len(held))
`
	requireLimited := func(when string) {
		held, err := strconv.Atoi(a.run(t, id, "python3 - <<'END'\n"+attack+"\nEND"))
		require.NoError(t, err)
		require.LessOrEqual(t, held, mostConnections, when)
		require.Greater(t, held, mostConnections-5, when) // a few may be the guest's own
	}
	requireLimited("under the default policy")
	_, err := a.UpdateNetwork(t.Context(), connect.NewRequest(&pb.UpdateNetworkRequest{SandboxId: id, Network: &pb.NetworkPolicy{DenyOut: []string{"198.51.100.0/24"}}}))
	require.NoError(t, err)
	requireLimited("under a policy of its own")
}

// impostor is a server that replaces the guest's agent, as root in the guest can.
const impostor = `
import os, signal, socket, sys, time
os.setsid()
time.sleep(0.3)
listener = socket.socket(socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
while True:
    os.system("pkill -9 -x envd")
    try:
        listener.bind(("::" if sys.argv[2] == "6" else "0.0.0.0", 49983))
        break
    except OSError:
        time.sleep(0.001)
listener.listen(64)
open("/run/impostor", "w").close()
held = []
while True:
    conn, _ = listener.accept()
    if sys.argv[1] == "silent":
        held.append(conn)
        continue
    if os.fork():
        conn.close()
        continue
    try:
        if sys.argv[1] == "garbage":
            conn.sendall(os.urandom(4096))
        elif sys.argv[1] == "headers":
            conn.sendall(b"HTTP/1.1 200 OK\r\n")
            while True: conn.sendall(b"X-Flood: " + b"x" * 65000 + b"\r\n")
        else:
            conn.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n")
            while True: conn.sendall(b"x" * 65536)
    except OSError:
        pass
    os._exit(0)
`

// testImpostors pauses guests whose agent answers garbage, never, or without end. A pause
// that requires a healthy agent is refused in bounded time and memory, and the guest runs
// on. Another pause keeps the disk, and the resume boots.
func testImpostors(t *testing.T, a *agentUnderTest, _, first string) {
	kinds := []string{"silent", "garbage", "headers", "body"}
	var pauses sync.WaitGroup
	for number, kind := range kinds {
		id := first
		if number > 0 {
			id = fmt.Sprintf("iimpostor%011d", number)
			require.NoError(t, a.create(t.Context(), id))
		}
		a.impersonate(t, id, kind)
		pauses.Go(func() {
			awaitImpostor(t, a, id)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			_, err := a.PauseSandbox(ctx, connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id, RequireHealthyGuest: true}))
			if err == nil || ctx.Err() != nil {
				t.Errorf("pausing a guest whose agent is %s: %v", kind, err)
			}
		})
	}
	pauses.Wait()
	for number, kind := range kinds {
		id := first
		if number > 0 {
			id = fmt.Sprintf("iimpostor%011d", number)
		}
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[id], kind)
		if number > 0 {
			a.kill(t, id)
		}
	}
	_, err := a.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: first, WithoutMemory: true}))
	require.Equal(t, pb.Reason_REASON_GUEST_UNRESPONSIVE, reasonOf(t, err), "its file system was not synced")
	paused, err := a.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: first}))
	require.NoError(t, err)
	require.True(t, paused.Msg.Sandbox.GuestUnresponsive)
	resume := &pb.ResumeSandboxRequest{SandboxId: first, Identity: &pb.Identity{LifecycleId: "again"}}
	_, err = a.ResumeSandbox(t.Context(), connect.NewRequest(resume))
	require.Equal(t, pb.Reason_REASON_GUEST_UNRESPONSIVE_AT_PAUSE, reasonOf(t, err))
	resume.WithoutMemory = true
	booted, err := a.ResumeSandbox(t.Context(), connect.NewRequest(resume))
	require.NoError(t, err)
	require.False(t, booted.Msg.Sandbox.GuestUnresponsive)
	require.Equal(t, "itself", a.run(t, first, "echo itself"))
}

// awaitImpostor waits until the guest's agent has been replaced.
func awaitImpostor(t *testing.T, a *agentUnderTest, id string) {
	deadline := time.Now().Add(time.Minute)
	for strange := 0; strange < 3; { // in a row: its agent is started again now and then
		if time.Now().After(deadline) {
			t.Errorf("the agent of %s has its place still", id)
			return
		}
		client := &http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}, Timeout: time.Second}
		response, err := client.Get("http://guest/health")
		strange++
		if err == nil {
			if response.StatusCode == http.StatusNoContent {
				strange = 0
			}
			response.Body.Close()
		}
		<-time.After(50 * time.Millisecond)
	}
}
