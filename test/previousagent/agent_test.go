package previousagent

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
)

// Bounds on a machine that is busy with other tests; alone, the agent starts in ten
// seconds and the test takes three more.
const (
	startTimeout = 4 * time.Minute
	lifeTimeout  = 2 * time.Minute
)

// previousAgent is the agent of the version before, in a process of its own.
type previousAgent struct {
	*host.Link
	process *exec.Cmd
	ended   chan error // the process's end, once
}

// startPrevious runs the agent until the test's end, and kills its sandboxes then.
func startPrevious(t *testing.T) *previousAgent {
	t.Helper()
	if reason := os.Getenv(absentVariable); reason != "" {
		t.Skip(reason)
	}
	programs := os.Getenv(programsVariable)
	if programs == "" {
		t.Skip("needs root: runs real VMs in network namespaces")
	}
	dataDir, err := os.MkdirTemp("", "wrenn-") //nolint:usetesting // its path goes into those of sockets, which are short
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dataDir)) })
	rpc, traffic := filepath.Join(dataDir, "rpc.sock"), filepath.Join(dataDir, "traffic.sock")
	logPath := filepath.Join(dataDir, "agent.log")
	log, err := os.Create(logPath)
	require.NoError(t, err)
	defer log.Close()
	a := &previousAgent{Link: host.NewLocalLink(rpc, traffic), process: exec.Command(
		filepath.Join(programs, "wrenn-host-agent"), "--data-dir", dataDir, "--cache-dir", vmmtest.CacheDir,
		"--socket", rpc, "--traffic-socket", traffic, "--driver", "qemu", "--warm-memory-percent", "0", "--keep-running=false"), ended: make(chan error, 1)}
	a.process.Stdout, a.process.Stderr = log, log
	require.NoError(t, a.process.Start())
	go func() { a.ended <- a.process.Wait() }()
	t.Cleanup(func() {
		a.end(t)
		if t.Failed() {
			content, err := os.ReadFile(logPath)
			t.Logf("the agent's log: %v\n%s", err, content)
		}
	})
	a.awaitTemplate(t)
	return a
}

func (a *previousAgent) awaitTemplate(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		_, err := a.ListTemplates(ctx)
		if err == nil {
			return
		}
		select {
		case ended := <-a.ended:
			a.ended <- ended
			require.Fail(t, "the agent ended before it answered", "%v", ended)
		case <-ctx.Done():
			require.NoError(t, err, "the agent does not answer")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// end kills what a failed test left and stops the agent.
func (a *previousAgent) end(t *testing.T) {
	t.Helper()
	defer a.Close()
	const timeout = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if left, err := a.ListSandboxes(ctx); err == nil {
		for _, sandbox := range left {
			_ = a.KillSandbox(ctx, sandbox.ID)
		}
	}
	_ = a.process.Process.Signal(syscall.SIGTERM) // it may have ended
	assert.NoError(t, <-a.ended)
}

// run runs a line of shell in a sandbox by the way that clients' traffic takes.
func (a *previousAgent) run(ctx context.Context, t *testing.T, sandboxID, line string) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return a.DialTraffic(ctx, false)
	}}
	defer transport.CloseIdleConnections()
	agent := guest.Agent{Client: &http.Client{Transport: transport}, BaseURL: "http://guest", Header: http.Header{
		forward.SandboxHeader: {sandboxID}, forward.PortHeader: {strconv.Itoa(envdclient.Port)},
	}}
	result, err := agent.Run(ctx, line)
	require.NoError(t, err)
	return strings.TrimSpace(string(result.Stdout))
}

// TestPreviousAgent_ServesTodaysControlPlane takes one sandbox through its life.
func TestPreviousAgent_ServesTodaysControlPlane(t *testing.T) {
	a := startPrevious(t)
	ctx, cancel := context.WithTimeout(t.Context(), lifeTimeout)
	defer cancel()
	info, err := a.Info(ctx)
	require.NoError(t, err)
	t.Logf("version %s, driver %s, accelerator %s", info.Version, info.Driver, info.Accelerator)
	templates, err := a.ListTemplates(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, templates)

	sandboxID := id.NewSandbox()
	internet := false
	created, err := a.CreateSandbox(ctx, host.Creation{
		Sandbox: sandbox.Sandbox{
			ID: sandboxID, BuildID: uuid.MustParse(templates[0].BuildID), Network: sandbox.Network{AllowInternetAccess: &internet},
		},
		EnvVars: map[string]string{"GREETING": "hello"},
	})
	require.NoError(t, err)
	require.Equal(t, sandbox.Running, created.State)
	require.Equal(t, "hello", a.run(ctx, t, sandboxID, "echo kept > /dev/shm/memory; echo $GREETING"))

	paused, err := a.PauseSandbox(ctx, sandboxID, sandbox.Pause{})
	require.NoError(t, err)
	require.Equal(t, sandbox.Paused, paused.State)

	resumed, err := a.ResumeSandbox(ctx, sandboxID, host.Resumption{})
	require.NoError(t, err)
	require.Equal(t, sandbox.Running, resumed.State)
	require.Equal(t, "kept", a.run(ctx, t, sandboxID, "cat /dev/shm/memory"))

	require.NoError(t, a.KillSandbox(ctx, sandboxID))
	left, err := a.ListSandboxes(ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}
