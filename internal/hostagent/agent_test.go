package hostagent

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
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
	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// agentUnderTest is a real host agent with real VMs, in this process.
type agentUnderTest struct {
	hostagentv1connect.HostAgentClient
	config  Config
	traffic *http.Client
	build   string
	stop    context.CancelFunc
	stopped chan error
}

// startAgent runs an agent on a data directory and waits until it answers.
func startAgent(t *testing.T, dataDir string, changes ...func(*Config)) *agentUnderTest {
	t.Helper()
	envd, err := filepath.Abs("../../bin/envd")
	require.NoError(t, err)
	require.FileExists(t, envd, "run: make build")
	a := &agentUnderTest{stopped: make(chan error, 1), config: Config{
		Driver:  os.Getenv(driverVariable),
		DataDir: dataDir, CacheDir: "/var/cache/wrenn", EnvdPath: envd, Version: "test",
		RPCSocket: filepath.Join(dataDir, "rpc.sock"), TrafficSocket: filepath.Join(dataDir, "traffic.sock"),
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Progress: func(line string) { fmt.Fprintln(os.Stderr, "host agent:", line) },
	}}
	for _, change := range changes {
		change(&a.config)
	}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	go func() { a.stopped <- Run(ctx, a.config) }()
	a.HostAgentClient = hostagentv1connect.NewHostAgentClient(unixClient(a.config.RPCSocket), "http://agent")
	a.traffic = unixClient(a.config.TrafficSocket)
	const startTimeout = 5 * time.Minute // the first time on a machine an image is built
	require.Eventually(t, func() bool {
		select {
		case err := <-a.stopped:
			t.Fatalf("the agent ended: %v", err)
		default:
		}
		templates, err := a.ListTemplates(t.Context(), connect.NewRequest(&pb.ListTemplatesRequest{}))
		if err == nil {
			a.build = templates.Msg.GetTemplates()[0].GetBuildId()
		}
		return err == nil
	}, startTimeout, 20*time.Millisecond, "the agent does not answer")
	return a
}

// sandbox creates a sandbox, and kills it when the test ends.
func (a *agentUnderTest) sandbox(t *testing.T) string {
	t.Helper()
	made := id.NewSandbox()
	a.killAfter(t, made)
	require.NoError(t, a.create(t.Context(), made))
	return made
}

// killAfter kills a sandbox when the test ends. One that does not exist is killed already.
func (a *agentUnderTest) killAfter(t *testing.T, sandboxID string) {
	t.Helper()
	t.Cleanup(func() {
		_, _ = a.KillSandbox(context.Background(), connect.NewRequest(&pb.KillSandboxRequest{SandboxId: sandboxID}))
	})
}

// restart stops the agent and starts another one on the same data.
func (a *agentUnderTest) restart(t *testing.T, changes ...func(*Config)) {
	t.Helper()
	a.shutDown(t)
	*a = *startAgent(t, a.config.DataDir, changes...)
}

// file is the path of one of the agent's files.
func (a *agentUnderTest) file(names ...string) string {
	return filepath.Join(append([]string{a.config.DataDir}, names...)...)
}

func (a *agentUnderTest) shutDown(t *testing.T) {
	t.Helper()
	a.stop()
	err, running := <-a.stopped
	require.NoError(t, err)
	if running { // and not shut down before, in a test that failed
		close(a.stopped)
	}
}

// abort ends an agent that a failed test left, with all its sandboxes.
func (a *agentUnderTest) abort(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	a.killAll()
	a.stop()
	if err := <-a.stopped; err != nil {
		t.Logf("the agent ended with %v", err)
	}
}

func (a *agentUnderTest) killAll() {
	listed, err := a.ListSandboxes(context.Background(), connect.NewRequest(&pb.ListSandboxesRequest{}))
	if err != nil {
		return // it was shut down
	}
	for _, s := range listed.Msg.GetSandboxes() {
		_, _ = a.KillSandbox(context.Background(), connect.NewRequest(&pb.KillSandboxRequest{SandboxId: s.GetSandboxId()}))
	}
}

func unixClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

func (a *agentUnderTest) create(ctx context.Context, id string) error {
	_, err := a.CreateSandbox(ctx, connect.NewRequest(&pb.CreateSandboxRequest{
		SandboxId: id, BuildId: a.build,
		Identity: &pb.Identity{LifecycleId: id, EnvVars: map[string]string{"GREETING": "hello", "GIVEN": "once"}},
		WorkloadIdentity: &pb.WorkloadIdentity{TeamId: "team", TemplateId: "template", Tokens: map[string]*pb.IdentityToken{
			"aws": {Audience: "sts.amazonaws.com", TokenType: workload.TypeJWTSVID},
		}},
	}))
	return err
}

func (a *agentUnderTest) kill(t *testing.T, id string) {
	t.Helper()
	_, err := a.KillSandbox(t.Context(), connect.NewRequest(&pb.KillSandboxRequest{SandboxId: id}))
	require.NoError(t, err)
}

func (a *agentUnderTest) pause(t *testing.T, id string) {
	t.Helper()
	_, err := a.PauseSandbox(t.Context(), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id}))
	require.NoError(t, err)
}

func (a *agentUnderTest) resume(t *testing.T, id string) {
	t.Helper()
	_, err := a.ResumeSandbox(t.Context(), connect.NewRequest(&pb.ResumeSandboxRequest{
		SandboxId: id, Identity: &pb.Identity{LifecycleId: rand.Text()}, // each life has its own
	}))
	require.NoError(t, err)
}

func (a *agentUnderTest) list(t *testing.T) map[string]pb.SandboxState {
	t.Helper()
	listed, err := a.ListSandboxes(t.Context(), connect.NewRequest(&pb.ListSandboxesRequest{}))
	require.NoError(t, err)
	states := map[string]pb.SandboxState{}
	for _, s := range listed.Msg.GetSandboxes() {
		states[s.GetSandboxId()] = s.GetState()
	}
	return states
}

// toGuest sends requests to one port of one sandbox.
type toGuest struct {
	id        string
	port      int
	transport http.RoundTripper
}

func (g toGuest) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(forward.SandboxHeader, g.id)
	r.Header.Set(forward.PortHeader, strconv.Itoa(g.port))
	return g.transport.RoundTrip(r)
}

// run runs a shell command in a sandbox and returns its output.
func (a *agentUnderTest) run(t *testing.T, id, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := processconnect.NewProcessClient(&http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}}, "http://guest")
	stream, err := client.Start(ctx, connect.NewRequest(&process.StartRequest{
		Process: &process.ProcessConfig{Cmd: "/bin/bash", Args: []string{"-c", script}},
	}))
	require.NoError(t, err)
	defer stream.Close()
	var output strings.Builder
	for stream.Receive() {
		output.Write(stream.Msg().GetEvent().GetData().GetStdout())
		output.Write(stream.Msg().GetEvent().GetData().GetStderr())
	}
	require.NoError(t, stream.Err())
	return strings.TrimSpace(output.String())
}

// driverVariable names the driver that agents under test run with; empty for that which
// suits the machine.
const driverVariable = "WRENN_TEST_DRIVER"

// agentTests each begin with a running sandbox of their own, and leave no other. They run
// on one agent in any order.
var agentTests = map[string]func(t *testing.T, a *agentUnderTest, sandboxID string){
	"a sandbox runs commands under its own identity":                  testCommands,
	"a file is written anywhere and is the user's":                    testFiles,
	"a terminal ends with its command, and a kill ends its processes": testTerminal,
	"the guest agent is kept apart from what users run":               testGroups,
	"a VM's process has no rights":                                    testConfinement,
	"clones draw different random numbers":                            testRandomNumbers,
	"a guest has the settings of a server":                            testSettings,
	"a guest has a name":                                              testHostName,
	"a guest loads drivers when they are needed":                      testDrivers,
	"a guest runs a container":                                        testContainer,
	"each life is another machine":                                    testMachineIdentity,
	"a create that fails leaves nothing":                              testFailedCreates,
	"a guest reaches neither the host nor another guest":              testIsolation,
	"a pause keeps a running process, memory and files":               testPause,
	"each life has a secret of its own":                               testLives,
	"the clock is right after a resume":                               testClock,
	"traffic to a sandbox that does not run is a bad gateway":         testNoTraffic,
	"a VM that dies is noticed, and its disk kept":                    testDeath,
	"a kill interrupts a pause":                                       testKillDuringPause,
	"a stop pauses sandboxes, and the next start finds them":          testStop,
	"a pause that fails lets the guest run on":                        testFailedPause,
	"a repeated request is done once":                                 testRequests,
	"operations that begin at once wait for each other":               testConcurrency,
	"a network policy changes while a sandbox runs":                   testNetworkPolicy,
	"secrets are in no guest and in no file":                          testSecrets,
	"the key that signs identity tokens is only in memory":            testSigningKey,
	"a pause without memory keeps the file system":                    testDiskOnlyPause,
	"forks begin where their parent is":                               testForks,
	"a snapshot starts other sandboxes, also after a restart":         testSnapshot,
}

func TestAgent(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir)
	t.Cleanup(func() { a.abort(t) })
	for name, test := range agentTests {
		t.Run(name, func(t *testing.T) {
			defer a.holdToList(t, name)
			test(t, a, a.sandbox(t))
			requireNoSnapshots(t, a)
		})
	}
	require.Empty(t, a.list(t))
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
}

func testCommands(t *testing.T, a *agentUnderTest, sandboxID string) {
	require.Equal(t, "hello from user", a.run(t, sandboxID, `echo "$GREETING from $(id -un)"`))
}

func testFiles(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.send(t, sandboxID, "/app/deep/main.py", []byte("print('made')"))
	a.send(t, sandboxID, "/app/deep/main.py", []byte("print('written over')"))
	require.Equal(t, "written over 3 user", a.run(t, sandboxID, "echo $(python3 /app/deep/main.py; stat -c %U /app /app/deep /app/deep/main.py | uniq -c)"))
}

func testRandomNumbers(t *testing.T, a *agentUnderTest, first string) {
	const draw = "head -c 16 /dev/urandom | base64"
	require.NotEqual(t, a.run(t, first, draw), a.run(t, a.sandbox(t), draw))
}

func testFailedCreates(t *testing.T, a *agentUnderTest, existing string) {
	require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(a.create(t.Context(), existing)))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(a.create(t.Context(), "../../etc")))
	_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{SandboxId: id.NewSandbox(), BuildId: "none"}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
	hurried, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	require.Error(t, a.create(hurried, id.NewSandbox()))
	require.Eventually(t, func() bool { return len(a.list(t)) == 1 }, 20*time.Second, 50*time.Millisecond, "%v", a.list(t))
}

func testPause(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.run(t, sandboxID, "> /tmp/count; (i=0; while :; do i=$((i+1)); echo $i >> /tmp/count; sleep 0.05; done) >/dev/null 2>&1 & echo $! > /tmp/pid")
	a.pause(t, sandboxID)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[sandboxID])
	a.resume(t, sandboxID)
	counted := func() int {
		count, err := strconv.Atoi(a.run(t, sandboxID, "kill -0 $(cat /tmp/pid) && wc -l < /tmp/count || echo 0"))
		require.NoError(t, err)
		return count
	}
	earlier := counted()
	require.Eventually(t, func() bool { return counted() > earlier }, 20*time.Second, 100*time.Millisecond)
}

func testClock(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.pause(t, sandboxID)
	a.resume(t, sandboxID)
	requireClock(t, a, sandboxID)
}

// requireClock fails the test if a guest's clock is wrong by more than three seconds.
func requireClock(t *testing.T, a *agentUnderTest, sandboxID string) {
	t.Helper()
	seconds, err := strconv.ParseFloat(a.run(t, sandboxID, "date +%s.%N"), 64)
	require.NoError(t, err)
	require.InDelta(t, float64(time.Now().UnixNano())/1e9, seconds, 3)
}

func testNoTraffic(t *testing.T, a *agentUnderTest, paused string) {
	a.pause(t, paused)
	for name, sandboxID := range map[string]string{"unknown": id.NewSandbox(), "paused": paused} {
		client := &http.Client{Transport: toGuest{sandboxID, 8000, a.traffic.Transport}}
		response, err := client.Get("http://guest/")
		require.NoError(t, err, name)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err, name)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusBadGateway, response.StatusCode, name)
		require.Contains(t, string(body), `"sandboxId":"`+sandboxID+`"`, name)
	}
}

func testKillDuringPause(t *testing.T, a *agentUnderTest, sandboxID string) {
	pausing := make(chan error, 1)
	go func() {
		_, err := a.PauseSandbox(context.WithoutCancel(t.Context()), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: sandboxID}))
		pausing <- err
	}()
	require.Eventually(t, func() bool { return a.list(t)[sandboxID] != pb.SandboxState_SANDBOX_STATE_RUNNING }, 10*time.Second, time.Millisecond)
	a.kill(t, sandboxID)
	if err := <-pausing; err != nil { // the pause may have ended before the kill
		require.Equal(t, connect.CodeCanceled, connect.CodeOf(err), "%v", err)
	}
	require.NotContains(t, a.list(t), sandboxID)
	require.NoDirExists(t, a.file("storage", "sandboxes", sandboxID))
}

func testStop(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.run(t, sandboxID, "echo kept > /home/user/kept")
	a.restart(t)
	require.Equal(t, map[string]pb.SandboxState{sandboxID: pb.SandboxState_SANDBOX_STATE_PAUSED}, a.list(t))
	a.resume(t, sandboxID)
	require.Equal(t, "kept", a.run(t, sandboxID, "cat /home/user/kept"))
}

// requireNothingLeft fails the test if the agent has left anything on the machine.
func requireNothingLeft(t *testing.T, before leakcheck.Snapshot, dataDir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	left, err := before.LeftByInstallation(ctx, dataDir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// testIsolation connects from a guest to what it must not reach: a server on the host's
// side of each slot, and the agent in every other guest.
func testIsolation(t *testing.T, a *agentUnderTest, id string) {
	hosts := hostSides(t, a.config.DataDir)
	require.GreaterOrEqual(t, len(hosts), 2)
	for _, host := range hosts {
		server, err := new(net.ListenConfig).Listen(t.Context(), "tcp", netip.AddrPortFrom(host, 0).String())
		require.NoError(t, err)
		requireUnreachable(t, a, id, host, server.Addr().(*net.TCPAddr).Port)
		requireUnreachable(t, a, id, host.Next(), 49983) // the guest behind it
		require.NoError(t, server.Close())
	}
	for _, target := range []string{"127.0.0.1:22", "169.254.169.254:80", "169.254.7.1:80", "192.168.1.1:80"} {
		address := netip.MustParseAddrPort(target)
		requireUnreachable(t, a, id, address.Addr(), int(address.Port()))
	}
}

func requireUnreachable(t *testing.T, a *agentUnderTest, id string, address netip.Addr, port int) {
	t.Helper()
	script := fmt.Sprintf("timeout 3 bash -c '</dev/tcp/%s/%d' 2>/dev/null && echo reached; true", address, port)
	require.Empty(t, a.run(t, id, script), "%s port %d from inside %s", address, port, id)
}

// hostSides are the host's addresses of the slots that this agent has now; tests
// of other packages make and remove slots of their own meanwhile.
func hostSides(t *testing.T, dataDir string) []netip.Addr {
	t.Helper()
	slots, err := os.ReadDir(filepath.Join(dataDir, "network"))
	require.NoError(t, err)
	var hosts []netip.Addr
	for _, slot := range slots {
		device, err := net.InterfaceByName("wrenn" + slot.Name())
		if err != nil {
			continue // it is being made
		}
		addresses, err := device.Addrs()
		require.NoError(t, err)
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			require.NoError(t, err)
			if prefix.Addr().Is4() {
				hosts = append(hosts, prefix.Addr())
			}
		}
	}
	return hosts[:min(len(hosts), 4)]
}

func testDeath(t *testing.T, a *agentUnderTest, id string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a.run(t, id, "echo acknowledged > /home/user/file && sync /home/user/file; echo lost > /dev/shm/memory")
	changes, err := a.WatchSandboxes(ctx, connect.NewRequest(&pb.WatchSandboxesRequest{}))
	require.NoError(t, err)
	defer changes.Close()
	for range len(a.list(t)) {
		require.True(t, changes.Receive())
	}
	killVMM(t, id)
	reason, kept := "QEMU ended: signal: killed", "acknowledged"
	if a.hasLayers() { // its changes were in the process
		reason, kept = "runsc ended: signal: killed", "cat: /home/user/file: No such file or directory"
	}
	for changes.Receive() {
		s := changes.Msg().GetSandbox()
		if s.GetSandboxId() != id || s.GetState() != pb.SandboxState_SANDBOX_STATE_PAUSED {
			continue
		}
		require.Equal(t, reason, s.GetReason())
		a.resume(t, id)
		require.Equal(t, kept, a.run(t, id, "cat /home/user/file; ls /dev/shm"))
		return
	}
	t.Fatalf("no change reported that the VM of %s ended: %v", id, changes.Err())
}

// killVMM kills the process of a sandbox's VMM.
func killVMM(t *testing.T, id string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range processes {
		command, err := os.ReadFile(path)
		if err != nil || !isVMMOf(string(command), id) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		return
	}
	require.Fail(t, "no VMM was found", id)
}

// isVMMOf reports whether a command line is that of a sandbox's QEMU or runsc.
func isVMMOf(command, id string) bool {
	return strings.Contains(command, "\x00-name\x00"+id+"\x00") ||
		strings.HasPrefix(command, "runsc-sandbox\x00") && strings.Contains(command, "/"+id+"/run\x00")
}

// hasLayers reports whether the agent's driver is gVisor's.
func (a *agentUnderTest) hasLayers() bool { return a.config.Driver == DriverGVisor }

// needsLinux skips a test of what only the kernel of a VM has.
func (a *agentUnderTest) needsLinux(t *testing.T, what string) {
	t.Helper()
	if a.hasLayers() {
		t.Skip("the guest's kernel is gVisor's, without " + what)
	}
}
