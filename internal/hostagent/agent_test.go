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

// toGuest sends what it is given to one port of one sandbox.
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

// run runs a shell command in a sandbox and returns what it printed.
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

// TestAgent runs one agent's life over one template; its parts share VMs and
// go on from each other.
func TestAgent(t *testing.T) {
	dataDir := dataDir(t)
	before, err := leakcheck.Take()
	require.NoError(t, err)
	a := startAgent(t, dataDir)
	t.Cleanup(func() { a.abort(t) })

	const first, second = "itest000000000000001", "itest000000000000002"
	t.Run("a sandbox runs commands under its own identity", func(t *testing.T) {
		require.NoError(t, a.create(t.Context(), first))
		require.Equal(t, "hello from user", a.run(t, first, `echo "$GREETING from $(id -un)"`))
	})
	t.Run("a file is written anywhere and is the user's", func(t *testing.T) {
		a.send(t, first, "/app/deep/main.py", []byte("print('made')"))
		a.send(t, first, "/app/deep/main.py", []byte("print('written over')"))
		require.Equal(t, "written over 3 user", a.run(t, first, "echo $(python3 /app/deep/main.py; stat -c %U /app /app/deep /app/deep/main.py | uniq -c)"))
	})
	t.Run("a terminal ends with its command, and a kill ends what is in it", func(t *testing.T) { testTerminal(t, a, first) })
	t.Run("what users run is kept from the guest agent and can be stopped", func(t *testing.T) { testGroups(t, a, first) })
	t.Run("a VM's process is nobody, nowhere", func(t *testing.T) { testConfinement(t, dataDir) })
	t.Run("clones do not draw the same random numbers", func(t *testing.T) {
		require.NoError(t, a.create(t.Context(), second))
		const draw = "head -c 16 /dev/urandom | base64"
		require.NotEqual(t, a.run(t, first, draw), a.run(t, second, draw))
	})
	t.Run("a guest is what its users expect of a machine", func(t *testing.T) { testMachine(t, a) })
	t.Run("what cannot be created says why and leaves nothing", func(t *testing.T) {
		require.Equal(t, connect.CodeAlreadyExists, connect.CodeOf(a.create(t.Context(), first)))
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(a.create(t.Context(), "../../etc")))
		_, err := a.CreateSandbox(t.Context(), connect.NewRequest(&pb.CreateSandboxRequest{SandboxId: "iunknown0template000", BuildId: "none"}))
		require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
		hurried, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		require.Error(t, a.create(hurried, "ihurried000000000000"))
		require.Eventually(t, func() bool { return len(a.list(t)) == 2 }, 20*time.Second, 50*time.Millisecond, "%v", a.list(t))
	})
	t.Run("a guest reaches neither the host nor another guest", func(t *testing.T) { testIsolation(t, a, dataDir, first) })
	t.Run("a pause keeps a running process, memory and files", func(t *testing.T) {
		a.run(t, first, "> /tmp/count; (i=0; while :; do i=$((i+1)); echo $i >> /tmp/count; sleep 0.05; done) >/dev/null 2>&1 & echo $! > /tmp/pid")
		a.pause(t, first)
		require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[first])
		a.resume(t, first)
		counted := func() int {
			count, err := strconv.Atoi(a.run(t, first, "kill -0 $(cat /tmp/pid) && wc -l < /tmp/count || echo 0"))
			require.NoError(t, err)
			return count
		}
		earlier := counted()
		require.Eventually(t, func() bool { return counted() > earlier }, 20*time.Second, 100*time.Millisecond)
	})
	t.Run("each life has a secret of its own", func(t *testing.T) { testLives(t, a, dataDir, first) })
	t.Run("the clock is right after a resume", func(t *testing.T) {
		said, err := strconv.ParseFloat(a.run(t, first, "date +%s.%N"), 64)
		require.NoError(t, err)
		require.InDelta(t, float64(time.Now().UnixNano())/1e9, said, 3)
	})
	t.Run("traffic to what does not run is a bad gateway that says so", func(t *testing.T) {
		for _, id := range []string{"inobody0000000000000", first} {
			if id == first {
				a.pause(t, first)
			}
			client := &http.Client{Transport: toGuest{id, 8000, a.traffic.Transport}}
			response, err := client.Get("http://guest/")
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusBadGateway, response.StatusCode)
			require.Contains(t, string(body), `"sandboxId":"`+id+`"`)
		}
	})
	t.Run("a VM that dies is noticed, and its disk kept", func(t *testing.T) { testDeath(t, a, second) })
	t.Run("a kill beats whatever is under way", func(t *testing.T) {
		const doomed = "itest000000000000003"
		require.NoError(t, a.create(t.Context(), doomed))
		pausing := make(chan error, 1)
		go func() {
			_, err := a.PauseSandbox(context.WithoutCancel(t.Context()), connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: doomed}))
			pausing <- err
		}()
		require.Eventually(t, func() bool { return a.list(t)[doomed] != pb.SandboxState_SANDBOX_STATE_RUNNING }, 10*time.Second, time.Millisecond)
		a.kill(t, doomed)
		if err := <-pausing; err != nil { // it may have been done before the kill came
			require.Equal(t, connect.CodeCanceled, connect.CodeOf(err), "%v", err)
		}
		require.NotContains(t, a.list(t), doomed)
		require.NoDirExists(t, filepath.Join(dataDir, "storage", "sandboxes", doomed))
	})
	t.Run("what ran is paused by a stop and found by the next start", func(t *testing.T) {
		a.resume(t, first)
		a.run(t, first, "echo kept > /home/user/kept; echo $$ > /dev/null")
		a.shutDown(t)
		a = startAgent(t, dataDir)
		require.Equal(t, map[string]pb.SandboxState{first: pb.SandboxState_SANDBOX_STATE_PAUSED}, a.list(t))
		a.resume(t, first)
		require.Equal(t, "kept", a.run(t, first, "cat /home/user/kept"))
	})
	t.Run("a pause that fails lets the guest run on", func(t *testing.T) { testFailedPause(t, a, dataDir, first) })
	t.Run("a request that comes again is done once", func(t *testing.T) { testRequests(t, a, first) })
	t.Run("operations that begin at once wait for each other", func(t *testing.T) { testConcurrency(t, a, first) })
	t.Run("what a sandbox may reach changes while it runs", func(t *testing.T) { testNetworkPolicy(t, a, first) })
	t.Run("secrets are in no guest and in no file", func(t *testing.T) { testSecrets(t, a, dataDir, first) })
	t.Run("the key that signs identity tokens is in memory alone", func(t *testing.T) { testSigningKey(t, a, dataDir, first) })
	t.Run("a pause without memory keeps the file system", func(t *testing.T) { testDiskOnlyPause(t, a, dataDir, first) })
	t.Run("forks begin where their parent is, and are machines of their own", func(t *testing.T) { testForks(t, a, dataDir, first) })
	t.Run("a snapshot of a running sandbox starts others, across a restart", func(t *testing.T) {
		testSnapshot(t, a, first, func() *agentUnderTest {
			a.shutDown(t)
			a = startAgent(t, dataDir)
			require.Empty(t, a.signingKeyID(t), "an agent that begins again has no key")
			require.Equal(t, "sts.amazonaws.com", audienceOf(t, dataDir, first), "and knows who its sandboxes are")
			return a
		})
		requireNoSnapshots(t, dataDir)
		a.kill(t, first)
		require.Empty(t, a.list(t))
	})
	a.shutDown(t)
	requireNothingLeft(t, before, dataDir)
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

// testIsolation tries from inside what a guest must not reach: a server on the
// host's end of each slot's cable, and the agent in every other guest.
func testIsolation(t *testing.T, a *agentUnderTest, dataDir, id string) {
	hosts := hostSides(t, dataDir)
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
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	killed := false
	for _, path := range processes {
		command, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(command), "\x00-name\x00"+id+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		killed = true
	}
	require.True(t, killed, "no VM of %s was found", id)
	for changes.Receive() {
		s := changes.Msg().GetSandbox()
		if s.GetSandboxId() != id || s.GetState() != pb.SandboxState_SANDBOX_STATE_PAUSED {
			continue
		}
		require.Equal(t, "QEMU ended: signal: killed", s.GetReason())
		a.resume(t, id)
		require.Equal(t, "acknowledged", a.run(t, id, "cat /home/user/file; ls /dev/shm"))
		a.kill(t, id)
		return
	}
	t.Fatalf("nobody said that the VM of %s ended: %v", id, changes.Err())
}
