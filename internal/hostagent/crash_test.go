package hostagent

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
)

// agentProcess is a real host agent in a process of its own, which can be
// killed.
type agentProcess struct {
	*agentUnderTest
	command *exec.Cmd
}

// startAgentProcess holds no guests ready, unless flags say so.
func startAgentProcess(t *testing.T, dataDir string, flags ...string) *agentProcess {
	t.Helper()
	program, err := filepath.Abs("../../bin/wrenn-host-agent")
	require.NoError(t, err)
	require.FileExists(t, program, "run: make build")
	a := &agentProcess{agentUnderTest: &agentUnderTest{config: Config{DataDir: dataDir, CacheDir: "/var/cache/wrenn"}}}
	socket, traffic := filepath.Join(dataDir, "rpc.sock"), filepath.Join(dataDir, "traffic.sock")
	log, err := os.OpenFile(filepath.Join(dataDir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	a.command = exec.Command(program, append([]string{
		"--data-dir", dataDir, "--cache-dir", a.config.CacheDir, "--socket", socket, "--traffic-socket", traffic,
		"--warm-memory-percent", "0",
	}, flags...)...)
	a.command.Stdout, a.command.Stderr = log, log
	require.NoError(t, a.command.Start())
	a.HostAgentClient = hostagentv1connect.NewHostAgentClient(unixClient(socket), "http://agent")
	a.traffic = unixClient(traffic)
	const startTimeout = 5 * time.Minute
	require.Eventually(t, func() bool {
		templates, err := a.ListTemplates(t.Context(), connect.NewRequest(&pb.ListTemplatesRequest{}))
		if err == nil {
			a.build = templates.Msg.GetTemplates()[0].GetBuildId()
		}
		return err == nil
	}, startTimeout, 10*time.Millisecond, "the agent does not answer")
	return a
}

// abort ends an agent that a failed test left, with all its sandboxes.
func (a *agentProcess) abort(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	a.killAll()
	_ = a.command.Process.Signal(syscall.SIGTERM)
	_ = a.command.Wait()
}

// end sends a signal and waits until the agent is gone.
func (a *agentProcess) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, a.command.Process.Signal(signal))
	_ = a.command.Wait() // how it ended is the signal's doing
}

// virtualMachines are the QEMU processes of a data directory.
func virtualMachines(t *testing.T, dataDir string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, path := range entries {
		content, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(content), "filename="+dataDir+"/") {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// TestAgentProcess kills and restarts a real agent around its sandboxes.
func TestAgentProcess(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgentProcess(t, dataDir)
	t.Cleanup(func() {
		a.abort(t)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dataDir, "agent.log"))
			t.Logf("the agent's log:\n%s", log)
		}
	})
	const survivor = "isurvivor00000000001"
	require.NoError(t, a.create(t.Context(), survivor))
	a.run(t, survivor, "(i=0; while :; do i=$((i+1)); echo $i >> /tmp/count; sleep 0.02; done) >/dev/null 2>&1 & echo $! > /tmp/pid")
	requireRunsOn := func(t *testing.T) {
		t.Helper()
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[survivor])
		require.Len(t, virtualMachines(t, dataDir), 1)
		count := func() int {
			count, err := strconv.Atoi(a.run(t, survivor, "kill -0 $(cat /tmp/pid) && wc -l < /tmp/count"))
			require.NoError(t, err)
			return count
		}
		earlier := count()
		require.Eventually(t, func() bool { return count() > earlier }, 20*time.Second, 50*time.Millisecond)
	}

	a.run(t, survivor, "nohup python3 -c '"+echoServer+"' >/dev/null 2>&1 & until ss -Hltn src 0.0.0.0:8001 | grep -q .; do sleep 0.05; done")
	requireEchoes := connectToEcho(t, slotAddress(t, dataDir, survivor))
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "restarted": syscall.SIGTERM} {
		t.Run("a running sandbox is adopted when the agent is "+name, func(t *testing.T) {
			machines := virtualMachines(t, dataDir)
			requireEchoes(t)
			defer requireEchoes(t) // the same connection
			a.end(t, signal)
			require.Equal(t, machines, virtualMachines(t, dataDir), "the VM runs on without the agent")
			a = startAgentProcess(t, dataDir)
			require.Equal(t, machines, virtualMachines(t, dataDir))
			requireRunsOn(t)
		})
	}
	t.Run("a VM that does not answer at once is asked again, and not ended", func(t *testing.T) {
		machines := virtualMachines(t, dataDir)
		require.Len(t, machines, 1)
		pid, err := strconv.Atoi(machines[0])
		require.NoError(t, err)
		a.end(t, syscall.SIGKILL)
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP)) // as on a host that is short of everything
		a = startAgentProcess(t, dataDir)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_RESUMING, a.list(t)[survivor])
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
		require.Eventually(t, func() bool { return a.list(t)[survivor] == pb.SandboxState_SANDBOX_STATE_RUNNING }, time.Minute, 100*time.Millisecond)
		requireRunsOn(t)
	})
	t.Run("an adopted sandbox can be paused and resumed", func(t *testing.T) {
		a.pause(t, survivor)
		require.Empty(t, virtualMachines(t, dataDir))
		a.resume(t, survivor)
		requireRunsOn(t)
	})
	t.Run("a VM that died meanwhile leaves its disk", func(t *testing.T) {
		const doomed = "idoomed0000000000001"
		others := virtualMachines(t, dataDir)
		require.NoError(t, a.create(t.Context(), doomed))
		a.run(t, doomed, "echo acknowledged > /home/user/file && sync /home/user/file")
		a.end(t, syscall.SIGKILL)
		for _, machine := range virtualMachines(t, dataDir) {
			if len(others) == 1 && machine != others[0] {
				pid, err := strconv.Atoi(machine)
				require.NoError(t, err)
				require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			}
		}
		a = startAgentProcess(t, dataDir)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[doomed])
		a.resume(t, doomed)
		require.Equal(t, "acknowledged", a.run(t, doomed, "cat /home/user/file"))
		a.kill(t, doomed)
		require.NotContains(t, a.list(t), doomed)
		require.NoDirExists(t, filepath.Join(dataDir, "storage", "sandboxes", doomed))
		requireRunsOn(t)
	})
	t.Run("killed at any moment it loses nothing that was acknowledged", func(t *testing.T) {
		a.pause(t, survivor)
		a = testKilledAtAnyMoment(t, a, dataDir, survivor)
		a.resume(t, survivor)
		requireRunsOn(t)
	})
	t.Run("what cannot be read is failed, with the reason, and the rest runs on", func(t *testing.T) {
		const broken = "ibroken0000000000001"
		require.NoError(t, a.create(t.Context(), broken))
		a.pause(t, broken)
		a.end(t, syscall.SIGKILL)
		memory, err := filepath.Glob(filepath.Join(dataDir, "storage", "sandboxes", broken, "snapshot-*", "memory"))
		require.NoError(t, err)
		require.Len(t, memory, 1)
		require.NoError(t, os.Truncate(memory[0], 4096))
		a = startAgentProcess(t, dataDir)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_FAILED, a.list(t)[broken])
		got, err := a.GetSandbox(t.Context(), connect.NewRequest(&pb.GetSandboxRequest{SandboxId: broken}))
		require.NoError(t, err)
		require.Contains(t, got.Msg.GetSandbox().GetReason(), "has 4096 bytes")
		requireRunsOn(t)
		a.kill(t, broken)
	})
	a.kill(t, survivor)
	a.end(t, syscall.SIGKILL) // even what a crash leaves of the agent itself goes
	cleanUp := startAgent(t, dataDir)
	cleanUp.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

// echoServer says again what one client says.
const echoServer = `import socket
listener = socket.create_server(("0.0.0.0", 8001))
conn, _ = listener.accept()
while True: conn.sendall(conn.recv(100))`

// connectToEcho opens one connection to a guest, past the agent, and returns what
// finds out whether it lives.
func connectToEcho(t *testing.T, guest netip.Addr) func(*testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", netip.AddrPortFrom(guest, 8001).String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	said := 0
	return func(t *testing.T) {
		t.Helper()
		said++
		want := fmt.Sprintf("%08d", said)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err := conn.Write([]byte(want))
		require.NoError(t, err)
		got := make([]byte, len(want))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// testKilledAtAnyMoment kills the agent at random points of a sandbox's
// creation, pause and resume, and looks each time at what the next one finds.
func testKilledAtAnyMoment(t *testing.T, a *agentProcess, dataDir, paused string) *agentProcess {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	operations := []string{"create", "pause", "resume", "kill"}
	const rounds = 8
	for round := range rounds {
		id := fmt.Sprintf("iround%014d", round)
		operation := operations[round%len(operations)]
		if operation != "create" {
			require.NoError(t, a.create(t.Context(), id))
			a.run(t, id, "echo kept > /home/user/kept")
		}
		if operation == "resume" {
			a.pause(t, id)
		}
		done := make(chan error, 1)
		go func() { done <- a.attempt(operation, id) }()
		select {
		case <-time.After(time.Duration(random.IntN(250)) * time.Millisecond): // the random moment
		case err := <-done:
			done <- err
		}
		a.end(t, syscall.SIGKILL)
		acknowledged := <-done == nil
		a = startAgentProcess(t, dataDir)
		a.requireConsistent(t, dataDir, operation, id, acknowledged)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[paused])
	}
	return a
}

func (a *agentProcess) attempt(operation, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch operation {
	case "create":
		return a.create(ctx, id)
	case "pause":
		_, err := a.PauseSandbox(ctx, connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id}))
		return err
	case "resume":
		_, err := a.ResumeSandbox(ctx, connect.NewRequest(&pb.ResumeSandboxRequest{SandboxId: id, Identity: &pb.Identity{LifecycleId: id}}))
		return err
	default:
		_, err := a.KillSandbox(ctx, connect.NewRequest(&pb.KillSandboxRequest{SandboxId: id}))
		return err
	}
}

// requireConsistent looks at a sandbox after a crash: what was acknowledged
// holds, what was not is either as before or done, and its files are there.
func (a *agentProcess) requireConsistent(t *testing.T, dataDir, operation, id string, acknowledged bool) {
	t.Helper()
	settled := func() (pb.SandboxState, bool) {
		state, there := a.list(t)[id]
		underWay := state == pb.SandboxState_SANDBOX_STATE_PAUSING || state == pb.SandboxState_SANDBOX_STATE_RESUMING
		return state, there && !underWay
	}
	require.Eventually(t, func() bool {
		_, there := a.list(t)[id]
		_, isSettled := settled()
		return !there || isSettled
	}, 30*time.Second, 10*time.Millisecond, "a pause that was interrupted is undone")
	state, there := settled()
	where := fmt.Sprintf("%s (acknowledged: %t) left %s, %s", operation, acknowledged, id, state)
	switch {
	case operation == "create" && acknowledged:
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, state, where)
	case operation == "kill" && acknowledged:
		require.False(t, there, where)
	case operation == "pause" && acknowledged:
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, state, where)
	case operation == "pause" || operation == "resume":
		require.Contains(t, []pb.SandboxState{pb.SandboxState_SANDBOX_STATE_PAUSED, pb.SandboxState_SANDBOX_STATE_RUNNING}, state, where)
	}
	machines := 0
	if there && state == pb.SandboxState_SANDBOX_STATE_RUNNING {
		machines = 1
	}
	require.Len(t, virtualMachines(t, dataDir), machines, where)
	if !there {
		require.NoDirExists(t, filepath.Join(dataDir, "storage", "sandboxes", id), where)
		return
	}
	if state == pb.SandboxState_SANDBOX_STATE_PAUSED {
		a.resume(t, id)
	}
	if operation != "create" {
		require.Equal(t, "kept", a.run(t, id, "cat /home/user/kept"), where)
	}
	a.kill(t, id)
}
