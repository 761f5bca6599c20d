package process

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func stdin(text string) *pb.ProcessInput {
	return &pb.ProcessInput{Input: &pb.ProcessInput_Stdin{Stdin: []byte(text)}}
}

func typed(text string) *pb.ProcessInput {
	return &pb.ProcessInput{Input: &pb.ProcessInput_Pty{Pty: []byte(text)}}
}

func TestSelectors_ThatNameNobodyAreNotFound(t *testing.T) {
	client := serve(t)
	for _, selector := range []*pb.ProcessSelector{
		byPID(0), byPID(1), byPID(1 << 31), {Selector: &pb.ProcessSelector_Tag{Tag: "nobody"}},
	} {
		for name, err := range callEach(t.Context(), client, selector) {
			require.Equal(t, connect.CodeNotFound, connect.CodeOf(err), "%s: %v", name, err)
		}
	}
	for name, err := range callEach(t.Context(), client, nil) {
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%s: %v", name, err)
	}
}

// callEach calls every method that takes a selector.
func callEach(ctx context.Context, client processconnect.ProcessClient, selector *pb.ProcessSelector) map[string]error {
	failures := map[string]error{}
	_, failures["Update"] = client.Update(ctx, connect.NewRequest(&pb.UpdateRequest{Process: selector}))
	_, failures["SendInput"] = client.SendInput(ctx, connect.NewRequest(&pb.SendInputRequest{Process: selector, Input: stdin("x")}))
	_, failures["SendSignal"] = client.SendSignal(ctx, connect.NewRequest(&pb.SendSignalRequest{Process: selector, Signal: pb.Signal_SIGNAL_SIGTERM}))
	_, failures["CloseStdin"] = client.CloseStdin(ctx, connect.NewRequest(&pb.CloseStdinRequest{Process: selector}))
	stream, err := client.Connect(ctx, connect.NewRequest(&pb.ConnectRequest{Process: selector}))
	if err == nil {
		stream.Receive()
		err = stream.Err()
		stream.Close()
	}
	failures["Connect"] = err
	input := client.StreamInput(ctx)
	_ = input.Send(&pb.StreamInputRequest{Event: &pb.StreamInputRequest_Start{Start: &pb.StreamInputRequest_StartEvent{Process: selector}}})
	_, failures["StreamInput"] = input.CloseAndReceive()
	return failures
}

func TestInput_ThatDoesNotFitIsRefused(t *testing.T) {
	client := serve(t)
	plain := startStream(t, client, shell("read line"))
	pid := started(t, plain)
	terminal := startStream(t, client, &pb.StartRequest{Process: shell("read line").GetProcess(), Pty: &pb.PTY{Size: &pb.PTY_Size{Cols: 80, Rows: 24}}})
	terminalPID := started(t, terminal)
	send := func(pid uint32, input *pb.ProcessInput) error {
		_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: input}))
		return err
	}
	closeStdin := func(pid uint32) error {
		_, err := client.CloseStdin(t.Context(), connect.NewRequest(&pb.CloseStdinRequest{Process: byPID(pid)}))
		return err
	}
	_, resizeErr := client.Update(t.Context(), connect.NewRequest(&pb.UpdateRequest{Process: byPID(pid), Pty: &pb.PTY{Size: &pb.PTY_Size{Cols: 1, Rows: 1}}}))
	for name, err := range map[string]error{
		"keys for a process without a terminal": send(pid, typed("x")),
		"stdin of a terminal":                   send(terminalPID, stdin("x")),
		"end of stdin of a terminal":            closeStdin(terminalPID),
		"size of no terminal":                   resizeErr,
	} {
		require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err), "%s: %v", name, err)
	}
	require.Error(t, send(pid, &pb.ProcessInput{}), "input of no kind")
	_, err := client.SendSignal(t.Context(), connect.NewRequest(&pb.SendSignalRequest{Process: byPID(pid), Signal: pb.Signal_SIGNAL_UNSPECIFIED}))
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))

	require.NoError(t, send(terminalPID, typed("\n")))
	finishPTY := finish(t, terminal)
	require.Zero(t, finishPTY.end.GetExitCode())
	require.NoError(t, closeStdin(pid))
	finish(t, plain)
}

func TestCloseStdin_TwiceIsFineAndThenNothingIsWritten(t *testing.T) {
	client := serve(t)
	stream := startStream(t, client, shell("cat >/dev/null; sleep 60"))
	pid := started(t, stream)
	for range 2 {
		_, err := client.CloseStdin(t.Context(), connect.NewRequest(&pb.CloseStdinRequest{Process: byPID(pid)}))
		require.NoError(t, err)
	}
	_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: stdin("x")}))
	require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(err))
	sendSignal(t, client, pid, pb.Signal_SIGNAL_SIGKILL)
	finish(t, stream)
}

// A process that does not read fills its pipe: who writes then waits, until it
// gives up, and the next one is not harmed.
func TestSendInput_WaitsOnlyAsLongAsItsCaller(t *testing.T) {
	client := serve(t)
	stream := startStream(t, client, shell("sleep 0.5; cat >/dev/null"))
	pid := started(t, stream)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := client.SendInput(ctx, connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: stdin(strings.Repeat("x", 1<<20))}))
	require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err))
	_, err = client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: stdin("more")}))
	require.NoError(t, err)
	_, err = client.CloseStdin(t.Context(), connect.NewRequest(&pb.CloseStdinRequest{Process: byPID(pid)}))
	require.NoError(t, err)
	finish(t, stream)
}

func TestStreamInput_RefusesWhatIsOutOfOrder(t *testing.T) {
	client := serve(t)
	for name, message := range map[string]*pb.StreamInputRequest{
		"data first": {Event: &pb.StreamInputRequest_Data{Data: &pb.StreamInputRequest_DataEvent{Input: stdin("x")}}},
		"nothing":    {},
	} {
		input := client.StreamInput(t.Context())
		require.NoError(t, input.Send(message))
		_, err := input.CloseAndReceive()
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), name)
	}
	input := client.StreamInput(t.Context())
	require.NoError(t, input.Send(&pb.StreamInputRequest{Event: &pb.StreamInputRequest_Keepalive{Keepalive: &pb.StreamInputRequest_KeepAlive{}}}))
	_, err := input.CloseAndReceive()
	require.NoError(t, err)
}

func TestStart_UnknownUserIsAnInvalidArgument(t *testing.T) {
	client := serve(t)
	request := connect.NewRequest(shell("true"))
	request.Header().Set("Authorization", "Basic bm8tc3VjaC11c2VyLWhlcmU6") // no-such-user-here:
	stream, err := client.Start(t.Context(), request)
	require.NoError(t, err)
	require.False(t, stream.Receive())
	require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(stream.Err()))
	require.Equal(t, connect.CodeInternal, connect.CodeOf(callerError(errors.New("the password file cannot be read"))))
}

func TestStart_PingsWhoAsksForIt(t *testing.T) {
	client := serve(t)
	request := connect.NewRequest(shell("read line"))
	request.Header().Set("Keepalive-Ping-Interval", "1")
	stream, err := client.Start(t.Context(), request)
	require.NoError(t, err)
	pid := started(t, stream)
	require.True(t, stream.Receive())
	require.NotNil(t, stream.Msg().GetEvent().GetKeepalive())
	sendStdin(t, client, pid, "\n")
	finish(t, stream)
}

func TestConnect_ManyClientsAllHearEverything(t *testing.T) {
	client := serve(t)
	const clients, size = 8, 1 << 20
	first := startStream(t, client, shell("read line; head -c "+strconv.Itoa(size)+" /dev/zero; exit 4"))
	pid := started(t, first)
	heard := make([]*result, clients)
	var listening, connected sync.WaitGroup
	connected.Add(clients)
	for i := range clients {
		listening.Go(func() {
			stream, err := client.Connect(t.Context(), connect.NewRequest(&pb.ConnectRequest{Process: byPID(pid)}))
			if err != nil || !stream.Receive() { // the start
				t.Errorf("connect: %v", errors.Join(err, stream.Err()))
			}
			connected.Done()
			heard[i], err = collect(stream, func() *pb.ProcessEvent { return stream.Msg().GetEvent() })
			if err != nil {
				t.Errorf("listen: %v", err)
			}
		})
	}
	connected.Wait()
	sendStdin(t, client, pid, "go\n")
	require.Equal(t, size, finish(t, first).stdout.Len())
	listening.Wait()
	for _, r := range heard {
		require.Equal(t, size, r.stdout.Len())
		require.EqualValues(t, 4, r.end.GetExitCode())
	}
}

// A grandchild that leaves its group and its parents is not waited for:
// neither the end of the command nor envd waits for it, and it lives on.
func TestStart_LeavesADaemonAlone(t *testing.T) {
	client := serve(t)
	file := filepath.Join(t.TempDir(), "pid")
	r := run(t, client, shell("setsid sh -c 'echo $$ > "+file+"; exec sleep 300' >/dev/null 2>&1 </dev/null & exit 0"))
	require.Zero(t, r.end.GetExitCode())
	requireNoProcesses(t, client)
	var pid int
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(file)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(content)))
		return err == nil && pid > 0
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, syscall.Kill(pid, 0), "it runs on")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// frozen stands in for control groups that are stopped; those of package
// cgroups are real in its own tests.
type frozen struct{}

func (frozen) Start(cgroups.Class, *syscall.SysProcAttr, func() error) error {
	return cgroups.ErrFrozen
}

func TestStart_IsRefusedWhileCommandsAreStopped(t *testing.T) {
	service := New(settings.New(), frozen{}, slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.Handle(processconnect.NewProcessHandler(service))
	server := httptest.NewServer(mux)
	defer server.Close()
	client := processconnect.NewProcessClient(server.Client(), server.URL)
	request := connect.NewRequest(shell("true"))
	request.Header().Set("Authorization", "Basic cm9vdDo=") // root:
	stream, err := client.Start(t.Context(), request)
	require.NoError(t, err)
	require.False(t, stream.Receive())
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(stream.Err()))
}
