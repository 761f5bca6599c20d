package process

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
)

// serve runs the service behind a real HTTP server, as the current user.
func serve(t *testing.T) processconnect.ProcessClient {
	t.Helper()
	current, err := user.Current()
	require.NoError(t, err)
	config := settings.New()
	config.Apply(settings.Update{User: current.Username, Workdir: t.TempDir(), Env: map[string]string{"FROM_INIT": "init"}})
	mux := http.NewServeMux()
	mux.Handle(processconnect.NewProcessHandler(New(config, &cgroups.Groups{}, slog.New(slog.DiscardHandler))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return processconnect.NewProcessClient(server.Client(), server.URL)
}

func shell(script string) *pb.StartRequest {
	return &pb.StartRequest{Process: &pb.ProcessConfig{Cmd: "/bin/sh", Args: []string{"-c", script}}}
}

// result is what a stream of events amounts to.
type result struct {
	pid                 uint32
	stdout, stderr, pty bytes.Buffer
	end                 *pb.ProcessEvent_EndEvent
}

func (r *result) add(event *pb.ProcessEvent) {
	if start := event.GetStart(); start != nil {
		r.pid = start.GetPid()
	}
	r.stdout.Write(event.GetData().GetStdout())
	r.stderr.Write(event.GetData().GetStderr())
	r.pty.Write(event.GetData().GetPty())
	if end := event.GetEnd(); end != nil {
		r.end = end
	}
}

func startStream(t *testing.T, client processconnect.ProcessClient, request *pb.StartRequest) *connect.ServerStreamForClient[pb.StartResponse] {
	t.Helper()
	stream, err := client.Start(t.Context(), connect.NewRequest(request))
	require.NoError(t, err)
	t.Cleanup(func() { stream.Close() })
	return stream
}

// started reads the first event and returns the PID in it.
func started(t *testing.T, stream *connect.ServerStreamForClient[pb.StartResponse]) uint32 {
	t.Helper()
	require.True(t, stream.Receive(), "%v", stream.Err())
	pid := stream.Msg().GetEvent().GetStart().GetPid()
	require.NotZero(t, pid)
	return pid
}

func finish(t *testing.T, stream *connect.ServerStreamForClient[pb.StartResponse]) *result {
	t.Helper()
	r := &result{}
	for stream.Receive() {
		r.add(stream.Msg().GetEvent())
	}
	require.NoError(t, stream.Err())
	require.NotNil(t, r.end, "the stream ends with the process's end")
	return r
}

func run(t *testing.T, client processconnect.ProcessClient, request *pb.StartRequest) *result {
	t.Helper()
	return finish(t, startStream(t, client, request))
}

func byPID(pid uint32) *pb.ProcessSelector {
	return &pb.ProcessSelector{Selector: &pb.ProcessSelector_Pid{Pid: pid}}
}

func TestStart_KeepsStdoutAndStderrApart(t *testing.T) {
	r := run(t, serve(t), shell("echo out; echo err >&2"))
	require.Equal(t, "out\n", r.stdout.String())
	require.Equal(t, "err\n", r.stderr.String())
	require.Zero(t, r.end.GetExitCode())
	require.True(t, r.end.GetExited())
	require.Equal(t, "exit status 0", r.end.GetStatus())
	require.Nil(t, r.end.Error)
}

func TestStart_ReportsExitCodesAndSignals(t *testing.T) {
	client := serve(t)
	failed := run(t, client, shell("exit 7"))
	require.EqualValues(t, 7, failed.end.GetExitCode())
	require.Equal(t, "exit status 7", failed.end.GetError())
	killed := run(t, client, shell("kill -KILL $$"))
	require.False(t, killed.end.GetExited())
	require.Equal(t, "signal: killed", killed.end.GetStatus())
	require.EqualValues(t, -1, killed.end.GetExitCode())
}

func TestStart_LayersTheEnvironment(t *testing.T) {
	request := shell(`echo "$FROM_INIT $FROM_REQUEST $HOME"`)
	request.Process.Envs = map[string]string{"FROM_REQUEST": "request", "FROM_INIT": "overridden"}
	current, err := user.Current()
	require.NoError(t, err)
	require.Equal(t, "overridden request "+current.HomeDir+"\n", run(t, serve(t), request).stdout.String())
}

func TestStart_RunsAsTheUserOfTheRequest(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	client := serve(t)
	directory := "/"
	start := shell("id -un; id -gn")
	start.Process.Cwd = &directory
	request := connect.NewRequest(start)
	request.Header().Set("Authorization", "Basic bm9ib2R5Og==") // nobody, no password
	stream, err := client.Start(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, "nobody\nnogroup\n", finish(t, stream).stdout.String())
}

func TestStart_RefusesBadRequests(t *testing.T) {
	client := serve(t)
	missing, nul := "/does/not/exist", "a\x00b"
	for name, test := range map[string]struct {
		config *pb.ProcessConfig
		want   connect.Code
	}{
		"no command":        {&pb.ProcessConfig{}, connect.CodeInvalidArgument},
		"unknown command":   {&pb.ProcessConfig{Cmd: "no-such-command"}, connect.CodeNotFound},
		"unknown directory": {&pb.ProcessConfig{Cmd: "true", Cwd: &missing}, connect.CodeInvalidArgument},
		"NUL in directory":  {&pb.ProcessConfig{Cmd: "true", Cwd: &nul}, connect.CodeInvalidArgument},
		"NUL in arguments":  {&pb.ProcessConfig{Cmd: "true", Args: []string{nul}}, connect.CodeInvalidArgument},
		"bad variable":      {&pb.ProcessConfig{Cmd: "true", Envs: map[string]string{"A=B": ""}}, connect.CodeInvalidArgument},
		"huge argument":     {&pb.ProcessConfig{Cmd: "/bin/true", Args: []string{strings.Repeat("x", 1<<20)}}, connect.CodeInvalidArgument},
		"not executable":    {&pb.ProcessConfig{Cmd: "/etc/passwd"}, connect.CodePermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := client.Start(t.Context(), connect.NewRequest(&pb.StartRequest{Process: test.config}))
			if err == nil {
				require.False(t, stream.Receive())
				err = stream.Err()
			}
			require.Equal(t, test.want, connect.CodeOf(err), "%v", err)
		})
	}
}

func TestStart_DeliversEveryByteToASlowReader(t *testing.T) {
	const size = 8 << 20
	stream := startStream(t, serve(t), shell("head -c 8388608 /dev/zero"))
	started(t, stream)
	var received int
	for stream.Receive() {
		received += len(stream.Msg().GetEvent().GetData().GetStdout())
		if received < 1<<20 {
			<-time.After(time.Millisecond) // slower than the process, at first
		}
	}
	require.NoError(t, stream.Err())
	require.Equal(t, size, received)
}

func TestStart_EndsWithTheCommandThoughItsChildHoldsThePipe(t *testing.T) {
	client := serve(t)
	began := time.Now()
	r := run(t, client, shell("sleep 30 & echo $!"))
	require.Less(t, time.Since(began), 10*time.Second)
	require.NotEmpty(t, r.stdout.String())
	run(t, client, shell("kill "+strings.TrimSpace(r.stdout.String())))
}

func TestStart_DeadlineKillsTheCommandAndItsGroup(t *testing.T) {
	client := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	stream, err := client.Start(ctx, connect.NewRequest(shell("sleep 60 & wait")))
	require.NoError(t, err)
	for stream.Receive() {
	}
	require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(stream.Err()))
	requireNoProcesses(t, client)
}

func TestConnect_FindsAProcessWhoseClientLeft(t *testing.T) {
	client := serve(t)
	request := shell("read line; echo got $line")
	tag := "survivor"
	request.Tag = &tag
	ctx, cancel := context.WithCancel(t.Context())
	first, err := client.Start(ctx, connect.NewRequest(request))
	require.NoError(t, err)
	pid := started(t, first)
	cancel()

	listed, err := client.List(t.Context(), connect.NewRequest(&pb.ListRequest{}))
	require.NoError(t, err)
	require.Len(t, listed.Msg.GetProcesses(), 1)
	require.Equal(t, tag, listed.Msg.GetProcesses()[0].GetTag())

	byTag := &pb.ProcessSelector{Selector: &pb.ProcessSelector_Tag{Tag: tag}}
	second, err := client.Connect(t.Context(), connect.NewRequest(&pb.ConnectRequest{Process: byTag}))
	require.NoError(t, err)
	require.True(t, second.Receive())
	require.Equal(t, pid, second.Msg().GetEvent().GetStart().GetPid())
	sendStdin(t, client, pid, "hello\n")
	r := &result{}
	for second.Receive() {
		r.add(second.Msg().GetEvent())
	}
	require.NoError(t, second.Err())
	require.Equal(t, "got hello\n", r.stdout.String())
	requireNoProcesses(t, client)
}

func TestCloseStdin_SendsEndOfFile(t *testing.T) {
	client := serve(t)
	stream := startStream(t, client, shell("cat; echo done"))
	pid := started(t, stream)
	sendStdin(t, client, pid, "line\n")
	_, err := client.CloseStdin(t.Context(), connect.NewRequest(&pb.CloseStdinRequest{Process: byPID(pid)}))
	require.NoError(t, err)
	require.Equal(t, "line\ndone\n", finish(t, stream).stdout.String())
}

func TestSendInput_RefusesAProcessWithoutStdin(t *testing.T) {
	client := serve(t)
	request, without := shell("sleep 30"), false
	request.Stdin = &without
	stream := startStream(t, client, request)
	pid := started(t, stream)
	_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{
		Process: byPID(pid), Input: &pb.ProcessInput{Input: &pb.ProcessInput_Stdin{Stdin: []byte("x")}},
	}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	sendSignal(t, client, pid, pb.Signal_SIGNAL_SIGKILL)
	finish(t, stream)
}

func TestStreamInput_KeepsTheOrder(t *testing.T) {
	client := serve(t)
	stream := startStream(t, client, shell("head -c 6"))
	pid := started(t, stream)
	input := client.StreamInput(t.Context())
	require.NoError(t, input.Send(&pb.StreamInputRequest{Event: &pb.StreamInputRequest_Start{
		Start: &pb.StreamInputRequest_StartEvent{Process: byPID(pid)},
	}}))
	for _, part := range []string{"ab", "cd", "ef"} {
		require.NoError(t, input.Send(&pb.StreamInputRequest{Event: &pb.StreamInputRequest_Data{
			Data: &pb.StreamInputRequest_DataEvent{Input: &pb.ProcessInput{Input: &pb.ProcessInput_Stdin{Stdin: []byte(part)}}},
		}}))
	}
	_, err := input.CloseAndReceive()
	require.NoError(t, err)
	require.Equal(t, "abcdef", finish(t, stream).stdout.String())
}

func TestSendSignal_ReachesTheWholeGroup(t *testing.T) {
	client := serve(t)
	stream := startStream(t, client, shell("sleep 60 | sleep 60"))
	pid := started(t, stream)
	sendSignal(t, client, pid, pb.Signal_SIGNAL_SIGTERM)
	require.Equal(t, "signal: terminated", finish(t, stream).end.GetStatus())
	_, err := client.SendSignal(t.Context(), connect.NewRequest(&pb.SendSignalRequest{Process: byPID(pid), Signal: pb.Signal_SIGNAL_SIGTERM}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
}

func TestPTY_IsATerminalOfTheSizeAskedFor(t *testing.T) {
	client := serve(t)
	request := shell("stty size; read line; stty size; echo $TERM")
	request.Pty = &pb.PTY{Size: &pb.PTY_Size{Cols: 100, Rows: 30}}
	stream := startStream(t, client, request)
	pid := started(t, stream)
	_, err := client.Update(t.Context(), connect.NewRequest(&pb.UpdateRequest{
		Process: byPID(pid), Pty: &pb.PTY{Size: &pb.PTY_Size{Cols: 120, Rows: 40}},
	}))
	require.NoError(t, err)
	_, err = client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{
		Process: byPID(pid), Input: &pb.ProcessInput{Input: &pb.ProcessInput_Pty{Pty: []byte("\n")}},
	}))
	require.NoError(t, err)
	output := finish(t, stream).pty.String()
	require.Contains(t, output, "40 120")
	require.Contains(t, output, "xterm-256color")
}

func TestOutput_CutsOffWhoFallsBehindAnotherReader(t *testing.T) {
	o := newOutput()
	fast, slow := o.subscribe(), o.subscribe()
	event := &pb.ProcessEvent{}
	for range 3 {
		o.publish(event, subscriberBytes)
		_, err := fast.take()
		require.NoError(t, err)
	}
	events, err := slow.take()
	require.NoError(t, err)
	require.Len(t, events, 1, "what came before is still delivered")
	_, err = slow.take()
	require.ErrorIs(t, err, errTooSlow)
}

func sendStdin(t *testing.T, client processconnect.ProcessClient, pid uint32, text string) {
	t.Helper()
	_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{
		Process: byPID(pid), Input: &pb.ProcessInput{Input: &pb.ProcessInput_Stdin{Stdin: []byte(text)}},
	}))
	require.NoError(t, err)
}

func sendSignal(t *testing.T, client processconnect.ProcessClient, pid uint32, signal pb.Signal) {
	t.Helper()
	_, err := client.SendSignal(t.Context(), connect.NewRequest(&pb.SendSignalRequest{Process: byPID(pid), Signal: signal}))
	require.NoError(t, err)
}

func requireNoProcesses(t *testing.T, client processconnect.ProcessClient) {
	t.Helper()
	require.Eventually(t, func() bool {
		listed, err := client.List(t.Context(), connect.NewRequest(&pb.ListRequest{}))
		return err == nil && len(listed.Msg.GetProcesses()) == 0
	}, 5*time.Second, 10*time.Millisecond, "a process is still listed")
}

// A command that forks at once must not pass on envd's own protection.
func TestStart_CommandsAreKilledBeforeEnvdWhenMemoryRunsOut(t *testing.T) {
	const path = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	if err := os.WriteFile(path, []byte(scoreOfEnvd), 0); err != nil {
		t.Skipf("this user may not protect itself: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, os.WriteFile(path, before, 0)) })
	r := run(t, serve(t), shell("cat /proc/self/oom_score_adj; nice"))
	score, niceness, _ := strings.Cut(strings.TrimSpace(r.stdout.String()), "\n")
	require.Contains(t, []string{scoreOfCommands, scoreInBetween}, score)
	require.Equal(t, "0", niceness)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, scoreOfEnvd+"\n", string(after))
}
