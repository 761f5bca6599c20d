package chaos

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
)

// agent is a host agent that is started again whenever it ends, as a service
// manager does it.
type agent struct {
	hostagentv1connect.HostAgentClient
	traffic *http.Client
	build   string
	dataDir string
	peace   *peace

	stopped chan struct{} // closed by stop
	ended   chan struct{} // closed when it is not started again

	mutex   sync.Mutex
	process *os.Process
	starts  int
}

const startTimeout = 5 * time.Minute // the first time on a machine an image is built

// startAgent holds some guests ready, within warmPercent of the memory.
func startAgent(t *testing.T, dataDir, warmPercent string) *agent {
	t.Helper()
	program, err := filepath.Abs("../../bin/wrenn-host-agent")
	require.NoError(t, err)
	require.FileExists(t, program, "run: make build")
	socket, traffic := filepath.Join(dataDir, "rpc.sock"), filepath.Join(dataDir, "traffic.sock")
	a := &agent{
		HostAgentClient: hostagentv1connect.NewHostAgentClient(unixClient(socket), "http://agent"),
		traffic:         unixClient(traffic), dataDir: dataDir, peace: newPeace(),
		stopped: make(chan struct{}), ended: make(chan struct{}),
	}
	log, err := os.OpenFile(filepath.Join(dataDir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	go func() {
		defer close(a.ended)
		defer log.Close()
		for a.run(exec.Command(program, "--data-dir", dataDir, "--cache-dir", "/var/cache/wrenn",
			"--socket", socket, "--traffic-socket", traffic, "--warm-memory-percent", warmPercent), log) == nil {
		}
	}()
	t.Cleanup(a.abort)
	a.await(t)
	return a
}

// run answers when the agent has ended; an error says that it shall stay so.
func (a *agent) run(command *exec.Cmd, log *os.File) error {
	command.Stdout, command.Stderr = log, log
	a.mutex.Lock()
	select {
	case <-a.stopped:
		a.mutex.Unlock()
		return context.Canceled
	default:
	}
	err := command.Start()
	a.process = command.Process
	a.starts++
	a.mutex.Unlock()
	if err != nil {
		return err
	}
	_ = command.Wait() // however it ended, it is started again
	return nil
}

// signal sends the agent a signal; one that is just being started gets none.
func (a *agent) signal(signal syscall.Signal) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.process != nil {
		_ = a.process.Signal(signal)
	}
}

// stop ends the agent for good.
func (a *agent) stop(signal syscall.Signal) {
	a.mutex.Lock()
	select {
	case <-a.stopped:
	default:
		close(a.stopped)
	}
	a.mutex.Unlock()
	a.signal(signal)
	<-a.ended
}

// abort ends an agent that a failed test left, with all its sandboxes.
func (a *agent) abort() {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if listed, err := a.ListSandboxes(ctx, connect.NewRequest(&pb.ListSandboxesRequest{})); err == nil {
		for _, s := range listed.Msg.GetSandboxes() {
			_, _ = a.KillSandbox(ctx, connect.NewRequest(&pb.KillSandboxRequest{SandboxId: s.GetSandboxId()}))
		}
	}
	a.stop(syscall.SIGTERM)
}

// await returns once the agent answers.
func (a *agent) await(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		templates, err := a.ListTemplates(t.Context(), connect.NewRequest(&pb.ListTemplatesRequest{}))
		if err == nil {
			a.build = templates.Msg.GetTemplates()[0].GetBuildId()
		}
		return err == nil
	}, startTimeout, 20*time.Millisecond, "the agent does not answer")
}

func unixClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}
