package wrenn

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

// fakeGuest runs a script in place of a command.
type fakeGuest struct {
	processconnect.UnimplementedProcessHandler
	script func(ctx context.Context, send func(*process.ProcessEvent) error) error

	mu      sync.Mutex
	started *connect.Request[process.StartRequest]
	input   bytes.Buffer
	closed  chan struct{}
	signals chan process.Signal
}

func newFakeGuest(script func(context.Context, func(*process.ProcessEvent) error) error) *fakeGuest {
	return &fakeGuest{script: script, closed: make(chan struct{}), signals: make(chan process.Signal, 2)}
}

func (g *fakeGuest) Start(ctx context.Context, request *connect.Request[process.StartRequest], stream *connect.ServerStream[process.StartResponse]) error {
	g.mu.Lock()
	g.started = request
	g.mu.Unlock()
	send := func(event *process.ProcessEvent) error {
		return stream.Send(&process.StartResponse{Event: event})
	}
	started := &process.ProcessEvent{Event: &process.ProcessEvent_Start{Start: &process.ProcessEvent_StartEvent{Pid: 7}}}
	if err := send(started); err != nil {
		return err
	}
	return g.script(ctx, send)
}

func (g *fakeGuest) SendInput(_ context.Context, request *connect.Request[process.SendInputRequest]) (*connect.Response[process.SendInputResponse], error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.input.Write(request.Msg.GetInput().GetStdin())
	return connect.NewResponse(&process.SendInputResponse{}), nil
}

func (g *fakeGuest) CloseStdin(context.Context, *connect.Request[process.CloseStdinRequest]) (*connect.Response[process.CloseStdinResponse], error) {
	close(g.closed)
	return connect.NewResponse(&process.CloseStdinResponse{}), nil
}

func (g *fakeGuest) SendSignal(_ context.Context, request *connect.Request[process.SendSignalRequest]) (*connect.Response[process.SendSignalResponse], error) {
	g.signals <- request.Msg.Signal
	return connect.NewResponse(&process.SendSignalResponse{}), nil
}

func stdout(text string) *process.ProcessEvent {
	return &process.ProcessEvent{Event: &process.ProcessEvent_Data{Data: &process.ProcessEvent_DataEvent{
		Output: &process.ProcessEvent_DataEvent_Stdout{Stdout: []byte(text)},
	}}}
}

func stderr(text string) *process.ProcessEvent {
	return &process.ProcessEvent{Event: &process.ProcessEvent_Data{Data: &process.ProcessEvent_DataEvent{
		Output: &process.ProcessEvent_DataEvent_Stderr{Stderr: []byte(text)},
	}}}
}

func end(code int32, exited bool, status string) *process.ProcessEvent {
	return &process.ProcessEvent{Event: &process.ProcessEvent_End{End: &process.ProcessEvent_EndEvent{ExitCode: code, Exited: exited, Status: status}}}
}

// sendAll sends events one after the other.
func sendAll(events ...*process.ProcessEvent) func(context.Context, func(*process.ProcessEvent) error) error {
	return func(_ context.Context, send func(*process.ProcessEvent) error) error {
		for _, event := range events {
			if err := send(event); err != nil {
				return err
			}
		}
		return nil
	}
}

func startFakeGuest(t *testing.T, guest *fakeGuest) {
	t.Helper()
	f := startFake(t, guest)
	f.on("GET /sandboxes/i1", http.StatusOK, sandboxInfo{SandboxID: "i1", State: "running", EnvdAccessToken: "secret"})
}

func TestExec_PassesOutputAndExitCodeOn(t *testing.T) {
	keepalive := &process.ProcessEvent{Event: &process.ProcessEvent_Keepalive{Keepalive: &process.ProcessEvent_KeepAlive{}}}
	guest := newFakeGuest(sendAll(stdout("a"), keepalive, stderr("why"), stdout("b"), end(5, true, "exit status 5")))
	startFakeGuest(t, guest)
	out, problems, code := wrenn(t, "sandbox", "exec", "--user", "root", "-w", "/tmp", "-e", "A=1", "i1", "--", "ls", "-l", "--", "-t")
	require.Equal(t, "ab", out)
	require.Equal(t, "why", problems)
	require.Equal(t, 5, code)

	request := guest.started
	require.Equal(t, "ls", request.Msg.Process.Cmd)
	require.Equal(t, []string{"-l", "--", "-t"}, request.Msg.Process.Args)
	require.Equal(t, map[string]string{"A": "1"}, request.Msg.Process.Envs)
	require.Equal(t, "/tmp", request.Msg.Process.GetCwd())
	require.False(t, request.Msg.GetStdin(), "nothing is piped in")
	require.Equal(t, "i1", request.Header().Get("E2b-Sandbox-Id"))
	require.Equal(t, "49983", request.Header().Get("E2b-Sandbox-Port"))
	require.Equal(t, "secret", request.Header().Get("X-Access-Token"))
	require.Equal(t, "Basic cm9vdDo=", request.Header().Get("Authorization"))
}

func TestExec_SendsWhatIsPipedIn(t *testing.T) {
	guest := newFakeGuest(nil)
	guest.script = func(_ context.Context, send func(*process.ProcessEvent) error) error {
		<-guest.closed
		return send(end(0, true, "exit status 0"))
	}
	startFakeGuest(t, guest)
	text := bytes.Repeat([]byte("0123456789"), inputChunk)
	input, write, err := os.Pipe()
	require.NoError(t, err)
	defer input.Close()
	written := make(chan error, 1)
	go func() {
		_, err := write.Write(text)
		written <- errors.Join(err, write.Close())
	}()
	_, problems, code := wrennReading(t, input, "sandbox", "exec", "i1", "cat")
	require.Zero(t, code, problems)
	require.NoError(t, <-written)
	require.True(t, guest.started.Msg.GetStdin())
	require.Equal(t, text, guest.input.Bytes())
}

func TestExec_SaysHowACommandWasKilled(t *testing.T) {
	startFakeGuest(t, newFakeGuest(sendAll(end(-1, false, "signal: killed"))))
	_, problems, code := wrenn(t, "sandbox", "exec", "i1", "sleep", "9")
	require.Equal(t, cli.ExitFailure, code)
	require.Equal(t, "sleep ended by signal: killed\n", problems)
}

func TestExec_FailsWhenTheSandboxGoesAway(t *testing.T) {
	startFakeGuest(t, newFakeGuest(sendAll(stdout("half"))))
	out, problems, code := wrenn(t, "sandbox", "exec", "i1", "cat")
	require.Equal(t, cli.ExitFailure, code)
	require.Equal(t, "half", out)
	require.Contains(t, problems, "went away")
}

func TestExec_InAPausedSandboxSaysHowToResume(t *testing.T) {
	f := startFake(t, nil)
	f.on("GET /sandboxes/i1", http.StatusOK, sandboxInfo{SandboxID: "i1", State: "paused"})
	_, problems, code := wrenn(t, "sandbox", "exec", "i1", "true")
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, problems, "wrenn sandbox resume i1")
}

func TestExec_EndsTheCommandWhenInterrupted(t *testing.T) {
	guest := newFakeGuest(nil)
	running := make(chan struct{})
	guest.script = func(_ context.Context, send func(*process.ProcessEvent) error) error {
		close(running)
		require.Equal(t, process.Signal_SIGNAL_SIGTERM, <-guest.signals)
		return send(end(143, true, "exit status 143"))
	}
	startFakeGuest(t, guest)
	nothing, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer nothing.Close()
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	go func() {
		<-running
		interrupt()
	}()
	var out, problems bytes.Buffer
	s := cli.Streams{Input: nothing, Output: &out, Errors: &problems}
	require.Equal(t, 143, cli.Execute(ctx, newRoot(s, nil), []string{"sandbox", "exec", "i1", "sleep", "9"}, s), problems.String())
}
