package hostagent

import (
	"cmp"
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

// agentProcess is a real host agent in a process of its own, which can be killed.
type agentProcess struct {
	*agentUnderTest
	command *exec.Cmd
}

// startAgentProcess starts an agent that holds no guests ready unless flags set that.
func startAgentProcess(t *testing.T, dataDir string, flags ...string) *agentProcess {
	t.Helper()
	program, err := filepath.Abs("../../bin/wrenn-host-agent")
	require.NoError(t, err)
	require.FileExists(t, program, "run: make build")
	a := &agentProcess{agentUnderTest: &agentUnderTest{config: Config{
		DataDir: dataDir, CacheDir: "/var/cache/wrenn", Driver: cmp.Or(os.Getenv(driverVariable), DriverAuto),
	}}}
	socket, traffic := filepath.Join(dataDir, "rpc.sock"), filepath.Join(dataDir, "traffic.sock")
	log, err := os.OpenFile(filepath.Join(dataDir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	a.command = exec.Command(program, append([]string{
		"--data-dir", dataDir, "--cache-dir", a.config.CacheDir, "--socket", socket, "--traffic-socket", traffic,
		"--warm-memory-percent", "0", "--driver", a.config.Driver,
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

// end sends a signal and waits until the agent has ended.
func (a *agentProcess) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, a.command.Process.Signal(signal))
	_ = a.command.Wait() // the error is the signal
}

// virtualMachines are the QEMU processes of a data directory.
func virtualMachines(t *testing.T, dataDir string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, path := range entries {
		content, err := os.ReadFile(path)
		qemu, runsc := "filename="+dataDir+"/", "\x00--root="+dataDir+"/"
		if err == nil && (strings.Contains(string(content), qemu) || strings.Contains(string(content), runsc)) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// processTests kill and restart a real agent around a running sandbox, in any order.
var processTests = map[string]func(t *testing.T, a *agentProcess, survivor string){
	"a running sandbox is adopted when the agent is killed":      testAdoptAfterKill,
	"a running sandbox is adopted when the agent is restarted":   testAdoptAfterStop,
	"a VM that does not answer at once is asked again":           testAdoptSlowVM,
	"an adopted sandbox can be paused and resumed":               testPauseAdopted,
	"a VM that ended meanwhile leaves its disk":                  testVMEndedMeanwhile,
	"an agent killed at any moment loses nothing acknowledged":   testKilledAtAnyMoment,
	"a sandbox that cannot be read is failed, and others run on": testUnreadableSandbox,
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
	for name, test := range processTests {
		t.Run(name, func(t *testing.T) {
			survivor := a.sandbox(t)
			a.run(t, survivor, "(i=0; while :; do i=$((i+1)); echo $i >> /tmp/count; sleep 0.02; done) >/dev/null 2>&1 & echo $! > /tmp/pid")
			test(t, a, survivor)
			a.requireRunsOn(t, survivor)
		})
	}
	require.Empty(t, a.list(t))
	a.end(t, syscall.SIGKILL) // the next agent removes what a crash leaves of the agent
	cleanUp := startAgent(t, dataDir)
	cleanUp.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

// startAgain starts another agent on the data of one that has ended.
func (a *agentProcess) startAgain(t *testing.T) {
	t.Helper()
	*a = *startAgentProcess(t, a.config.DataDir)
}

// requireRunsOn fails the test unless a sandbox is the only one that runs, and its
// program still counts.
func (a *agentProcess) requireRunsOn(t *testing.T, survivor string) {
	t.Helper()
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[survivor])
	require.Len(t, virtualMachines(t, a.config.DataDir), 1)
	count := func() int {
		count, err := strconv.Atoi(a.run(t, survivor, "kill -0 $(cat /tmp/pid) && wc -l < /tmp/count"))
		require.NoError(t, err)
		return count
	}
	earlier := count()
	require.Eventually(t, func() bool { return count() > earlier }, 20*time.Second, 50*time.Millisecond)
}

func testAdoptAfterKill(t *testing.T, a *agentProcess, survivor string) {
	testAdopt(t, a, survivor, syscall.SIGKILL)
}

func testAdoptAfterStop(t *testing.T, a *agentProcess, survivor string) {
	testAdopt(t, a, survivor, syscall.SIGTERM)
}

// testAdopt ends the agent by a signal, while a connection to the guest stays open.
func testAdopt(t *testing.T, a *agentProcess, survivor string, signal syscall.Signal) {
	dataDir := a.config.DataDir
	a.run(t, survivor, "nohup python3 -c '"+echoServer+"' >/dev/null 2>&1 & until ss -Hltn src 0.0.0.0:8001 | grep -q .; do sleep 0.05; done")
	requireEchoes := connectToEcho(t, slotAddress(t, dataDir, survivor))
	requireEchoes(t)
	machines := virtualMachines(t, dataDir)
	a.end(t, signal)
	require.Equal(t, machines, virtualMachines(t, dataDir), "the VM runs on without the agent")
	a.startAgain(t)
	require.Equal(t, machines, virtualMachines(t, dataDir))
	a.requireRunsOn(t, survivor)
	requireEchoes(t)
}

// testAdoptSlowVM stops the VM's process, as on a host that is short of everything.
func testAdoptSlowVM(t *testing.T, a *agentProcess, survivor string) {
	machines := virtualMachines(t, a.config.DataDir)
	require.Len(t, machines, 1)
	pid, err := strconv.Atoi(machines[0])
	require.NoError(t, err)
	a.end(t, syscall.SIGKILL)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	a.startAgain(t)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_RESUMING, a.list(t)[survivor])
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	require.Eventually(t, func() bool { return a.list(t)[survivor] == pb.SandboxState_SANDBOX_STATE_RUNNING }, time.Minute, 100*time.Millisecond)
}

func testPauseAdopted(t *testing.T, a *agentProcess, survivor string) {
	a.end(t, syscall.SIGKILL)
	a.startAgain(t)
	a.pause(t, survivor)
	require.Empty(t, virtualMachines(t, a.config.DataDir))
	a.resume(t, survivor)
}

func testVMEndedMeanwhile(t *testing.T, a *agentProcess, _ string) {
	others := virtualMachines(t, a.config.DataDir)
	require.Len(t, others, 1)
	doomed := a.sandbox(t)
	a.run(t, doomed, "echo acknowledged > /home/user/file && sync /home/user/file")
	a.end(t, syscall.SIGKILL)
	for _, machine := range virtualMachines(t, a.config.DataDir) {
		if machine != others[0] {
			pid, err := strconv.Atoi(machine)
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	a.startAgain(t)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[doomed])
	a.resume(t, doomed)
	kept := "acknowledged"
	if a.hasLayers() { // its changes were in the process
		kept = "cat: /home/user/file: No such file or directory"
	}
	require.Equal(t, kept, a.run(t, doomed, "cat /home/user/file"))
	a.kill(t, doomed)
	require.NotContains(t, a.list(t), doomed)
	require.NoDirExists(t, a.file("storage", "sandboxes", doomed))
}

func testUnreadableSandbox(t *testing.T, a *agentProcess, _ string) {
	broken := a.sandbox(t)
	a.pause(t, broken)
	a.end(t, syscall.SIGKILL)
	memory, err := filepath.Glob(a.file("storage", "sandboxes", broken, "snapshot-*", "memory"))
	require.NoError(t, err)
	require.Len(t, memory, 1)
	require.NoError(t, os.Truncate(memory[0], 4096))
	a.startAgain(t)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_FAILED, a.list(t)[broken])
	got, err := a.GetSandbox(t.Context(), connect.NewRequest(&pb.GetSandboxRequest{SandboxId: broken}))
	require.NoError(t, err)
	require.Contains(t, got.Msg.GetSandbox().GetReason(), "has 4096 bytes")
}

// echoServer sends back what its one client sends.
const echoServer = `import socket
listener = socket.create_server(("0.0.0.0", 8001))
conn, _ = listener.accept()
while True: conn.sendall(conn.recv(100))`

// connectToEcho opens one connection to a guest, not through the agent, and returns a
// function that fails a test unless the connection works.
func connectToEcho(t *testing.T, guest netip.Addr) func(*testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", netip.AddrPortFrom(guest, 8001).String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	sent := 0
	return func(t *testing.T) {
		t.Helper()
		sent++
		want := fmt.Sprintf("%08d", sent)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err := conn.Write([]byte(want))
		require.NoError(t, err)
		got := make([]byte, len(want))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// testKilledAtAnyMoment kills the agent at random moments of a sandbox's create, pause,
// resume and kill, and checks each time what the next agent finds.
func testKilledAtAnyMoment(t *testing.T, a *agentProcess, paused string) {
	a.pause(t, paused)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	operations := []string{"create", "pause", "resume", "kill"}
	const rounds = 8
	for round := range rounds {
		id := fmt.Sprintf("iround%014d", round)
		a.killAfter(t, id)
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
		a.startAgain(t)
		a.requireConsistent(t, operation, id, acknowledged)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[paused])
	}
	a.resume(t, paused)
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

// requireConsistent checks a sandbox after a crash: an operation that was acknowledged is
// done, another is done or not, and the sandbox's files are there.
func (a *agentProcess) requireConsistent(t *testing.T, operation, id string, acknowledged bool) {
	t.Helper()
	dataDir := a.config.DataDir
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
