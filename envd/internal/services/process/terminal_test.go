package process

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/gen/process/processconnect"
)

// inTerminal is a request for a terminal of 80×24 with a shell's script in it.
func inTerminal(script string) *pb.StartRequest {
	request := shell(script)
	request.Pty = &pb.PTY{Size: &pb.PTY_Size{Cols: 80, Rows: 24}}
	return request
}

// awaitOutput reads events until the output matches, and returns what did.
func awaitOutput(t *testing.T, stream *connect.ServerStreamForClient[pb.StartResponse], pattern string) []string {
	t.Helper()
	wanted, r := regexp.MustCompile(pattern), &result{}
	for {
		if found := wanted.FindStringSubmatch(r.pty.String() + r.stdout.String()); found != nil {
			return found
		}
		require.True(t, stream.Receive(), "the stream ended before %q: %v", pattern, stream.Err())
		r.add(stream.Msg().GetEvent())
		require.Nil(t, r.end, "ended before %q", pattern)
	}
}

// awaitJob is the PID that a script prints after "job ".
func awaitJob(t *testing.T, stream *connect.ServerStreamForClient[pb.StartResponse]) int {
	t.Helper()
	pid, err := strconv.Atoi(awaitOutput(t, stream, `job (\d+)\r?\n`)[1])
	require.NoError(t, err)
	return pid
}

// requireEnds waits for a process's end; whether its parent has noticed is no
// matter.
func requireEnds(t *testing.T, pid int, why string) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return err != nil || strings.Contains(string(status), "State:\tZ")
	}, 5*time.Second, time.Millisecond, why)
}

// endsPromptly wants a command's end event within 100 ms of its exit. A
// busy machine may need some tries.
func endsPromptly(t *testing.T, try func() time.Duration) {
	t.Helper()
	const tries, promised = 10, 100 * time.Millisecond
	var took time.Duration
	for range tries {
		if took = try(); took < promised {
			return
		}
	}
	t.Fatalf("the end came %v after the exit", took)
}

// What holds a terminal, or a pipe, may live on after the command, silent or not.
func TestStart_EndsWithinATenthOfASecondThoughAJobHoldsTheOutput(t *testing.T) {
	client := serve(t)
	for name, job := range map[string]string{
		"a silent job":                     "sleep 300",
		"a job that says something always": "while :; do echo x; sleep 0.01; done",
	} {
		for place, request := range map[string]*pb.StartRequest{"terminal": inTerminal(""), "pipe": shell("")} {
			endsPromptly(t, func() time.Duration {
				request.Process.Args[1] = "(trap '' HUP; " + job + ") & echo job $!; exec sleep 300"
				stream := startStream(t, client, request)
				pid := started(t, stream)
				running := awaitJob(t, stream)
				t.Cleanup(func() { _ = unix.Kill(running, unix.SIGKILL) })
				require.NoError(t, unix.Kill(int(pid), unix.SIGKILL)) // the command alone
				killed := time.Now()
				end := finish(t, stream).end
				took := time.Since(killed)
				require.Equal(t, "signal: killed", end.GetStatus())
				require.NoError(t, unix.Kill(running, 0), "%s in a %s lives on", name, place)
				require.NoError(t, unix.Kill(running, unix.SIGKILL))
				return took
			})
		}
	}
}

// The client has what was written before to read, so that no time is promised.
func TestStart_EndsThoughAJobFloodsTheOutput(t *testing.T) {
	client := serve(t)
	for _, request := range []*pb.StartRequest{inTerminal(""), shell("")} {
		request.Process.Args[1] = "(trap '' HUP; exec yes) & echo job $!; exit 3"
		r := run(t, client, request)
		require.EqualValues(t, 3, r.end.GetExitCode())
		found := regexp.MustCompile(`job (\d+)`).FindStringSubmatch(r.pty.String() + r.stdout.String())
		require.NotNil(t, found, "what the command wrote is there")
		job, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		require.NoError(t, unix.Kill(job, unix.SIGKILL), "the job lives on")
	}
}

// unread are commands that do not read, and how they are written to.
var unread = map[string]struct {
	request *pb.StartRequest
	input   func(text string) *pb.ProcessInput
}{
	"terminal": {inTerminal("stty raw -echo; echo ready; exec sleep 300"), typed},
	"pipe":     {shell("echo ready; exec sleep 300"), stdin},
}

func TestSendInput_ThatNobodyReadsHoldsUpNothingElse(t *testing.T) {
	client := serve(t)
	for name, test := range unread {
		stream := startStream(t, client, test.request)
		pid := started(t, stream)
		awaitOutput(t, stream, "ready")
		request := &pb.SendInputRequest{Process: byPID(pid), Input: test.input(strings.Repeat("x", 1<<20))}
		first := make(chan error, 1)
		go func() {
			_, err := client.SendInput(t.Context(), connect.NewRequest(request))
			first <- err
		}()
		requireWriterWaits(t, client, request)
		requireAnswers(t, client, pid, name)
		sendSignal(t, client, pid, pb.Signal_SIGNAL_SIGKILL)
		require.Equal(t, "signal: killed", finish(t, stream).end.GetStatus(), name)
		require.Equal(t, connect.CodeFailedPrecondition, connect.CodeOf(<-first), name)
	}
}

// requireWriterWaits checks that a writer behind another gives up when its own
// time is up.
func requireWriterWaits(t *testing.T, client processconnect.ProcessClient, request *pb.SendInputRequest) {
	t.Helper()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := client.SendInput(ctx, connect.NewRequest(request))
		require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err), "%v", err)
	}
}

// requireAnswers calls what does not write.
func requireAnswers(t *testing.T, client processconnect.ProcessClient, pid uint32, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := client.List(ctx, connect.NewRequest(&pb.ListRequest{}))
	require.NoError(t, err)
	_, err = client.Update(ctx, connect.NewRequest(&pb.UpdateRequest{Process: byPID(pid), Pty: &pb.PTY{Size: &pb.PTY_Size{Cols: 9, Rows: 9}}}))
	if name == "terminal" {
		require.NoError(t, err)
	}
	connected, err := client.Connect(ctx, connect.NewRequest(&pb.ConnectRequest{Process: byPID(pid)}))
	require.NoError(t, err)
	require.True(t, connected.Receive())
	require.NoError(t, connected.Close())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = client.CloseStdin(short, connect.NewRequest(&pb.CloseStdinRequest{Process: byPID(pid)}))
	if name == "pipe" {
		require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err), "it waits for those that write: %v", err)
	}
}

func TestSendInput_GoesOnWhenItIsReadAtLast(t *testing.T) {
	const size = 1 << 20
	read := "sleep 0.3; head -c " + strconv.Itoa(size) + " | wc -c"
	client := serve(t)
	for _, test := range []struct {
		request *pb.StartRequest
		input   func(string) *pb.ProcessInput
	}{
		{inTerminal("stty raw -echo; echo ready; " + read), typed},
		{shell("echo ready; " + read), stdin},
	} {
		stream := startStream(t, client, test.request)
		pid := started(t, stream)
		awaitOutput(t, stream, "ready")
		_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: test.input(strings.Repeat("x", size))}))
		require.NoError(t, err)
		r := finish(t, stream)
		require.Contains(t, r.pty.String()+r.stdout.String(), strconv.Itoa(size))
	}
}

func TestPTY_SizeOfNothingIsAnOrdinaryTerminal(t *testing.T) {
	client := serve(t)
	for want, size := range map[string]*pb.PTY_Size{
		"24 80": nil, "24 100": {Cols: 100}, "30 80": {Rows: 30}, "65535 65535": {Cols: 1 << 20, Rows: 1<<32 - 1}, "1 1": {Cols: 1, Rows: 1},
	} {
		request := inTerminal("stty size; stty rows 7 cols 7; echo set; read line; stty size")
		request.Pty.Size = size
		stream := startStream(t, client, request)
		pid := started(t, stream)
		awaitOutput(t, stream, "^"+want+"\r\nset")
		if size == nil {
			size = &pb.PTY_Size{}
		}
		_, err := client.Update(t.Context(), connect.NewRequest(&pb.UpdateRequest{Process: byPID(pid), Pty: &pb.PTY{Size: size}}))
		require.NoError(t, err)
		_, err = client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: typed("\n")}))
		require.NoError(t, err)
		require.Contains(t, finish(t, stream).pty.String(), want+"\r\n")
	}
}

// An interactive shell gives each job a group of its own, and ignores SIGTERM.
func TestSendSignal_KillsEverythingInATerminal(t *testing.T) {
	client := serve(t)
	request := inTerminal("")
	request.Process = &pb.ProcessConfig{Cmd: "/bin/bash", Args: []string{"--norc", "-i"}}
	stream := startStream(t, client, request)
	pid := started(t, stream)
	script := "(trap '' HUP TERM; exec sleep 300) & echo job $!\n"
	_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{Process: byPID(pid), Input: typed(script + "sleep 300\n")}))
	require.NoError(t, err)
	job := awaitJob(t, stream)
	group, err := unix.Getpgid(job)
	require.NoError(t, err)
	require.NotEqual(t, int(pid), group, "the job has a group of its own")
	sendSignal(t, client, pid, pb.Signal_SIGNAL_SIGKILL)
	require.Equal(t, "signal: killed", finish(t, stream).end.GetStatus())
	requireEnds(t, job, "the job outlived its terminal")
}

func TestStart_DeadlineKillsEverythingInATerminal(t *testing.T) {
	client := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	stream, err := client.Start(ctx, connect.NewRequest(inTerminal("set -m; (trap '' HUP; exec sleep 300) & echo job $!; wait")))
	require.NoError(t, err)
	job := awaitJob(t, stream)
	for stream.Receive() {
	}
	require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(stream.Err()))
	requireEnds(t, job, "the job outlived its terminal's deadline")
	requireNoProcesses(t, client)
}
