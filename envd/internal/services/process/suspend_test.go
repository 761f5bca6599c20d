package process

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// serveService is serve, with the service itself at hand.
func serveService(t *testing.T) (*Service, processconnect.ProcessClient) {
	t.Helper()
	current, err := user.Current()
	require.NoError(t, err)
	config := settings.New()
	config.Apply(settings.Update{User: current.Username, Workdir: t.TempDir()})
	service := New(config, &cgroups.Groups{}, slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.Handle(processconnect.NewProcessHandler(service))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		service.Close()
	})
	return service, processconnect.NewProcessClient(server.Client(), server.URL)
}

// collect reads a stream to its end: its output, whether the process ended,
// and why the stream did.
func collect(stream interface {
	Receive() bool
	Err() error
}, event func() *pb.ProcessEvent,
) (*result, error) {
	r := &result{}
	for stream.Receive() {
		r.add(event())
	}
	return r, stream.Err()
}

func TestSuspend_LosesNoByteOfAClientThatComesBack(t *testing.T) {
	service, client := serveService(t)
	const lines = 20_000
	stream := startStream(t, client, shell(fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; done; exit 3", lines)))
	pid := started(t, stream)
	received := make(chan *result)
	go func() {
		r, err := collect(stream, func() *pb.ProcessEvent { return stream.Msg().GetEvent() })
		if connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("the stream ended with %v", err)
		}
		received <- r
	}()
	service.Suspend(t.Context()) // somewhere in the middle; wherever it is, nothing may be lost
	var output strings.Builder
	output.WriteString((<-received).stdout.String())
	var end *pb.ProcessEvent_EndEvent
	for end == nil {
		service.Suspend(t.Context())
		again, err := client.Connect(t.Context(), connect.NewRequest(&pb.ConnectRequest{Process: byPID(pid)}))
		require.NoError(t, err)
		require.False(t, again.Receive())
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(again.Err()), "not before the resume")
		service.Resume()
		service.Resume()
		back, err := client.Connect(t.Context(), connect.NewRequest(&pb.ConnectRequest{Process: byPID(pid)}))
		require.NoError(t, err)
		r, err := collect(back, func() *pb.ProcessEvent { return back.Msg().GetEvent() })
		require.NoError(t, err)
		output.WriteString(r.stdout.String())
		end = r.end
	}
	require.EqualValues(t, 3, end.GetExitCode())
	var want strings.Builder
	for line := range lines {
		fmt.Fprintln(&want, line+1)
	}
	require.Equal(t, want.String(), output.String())
}

func TestSuspend_DropsWhatNobodyComesBackFor(t *testing.T) {
	service, client := serveService(t)
	stream := startStream(t, client, shell("head -c 4000000 /dev/zero; echo done >&2; read line"))
	pid := started(t, stream)
	service.Suspend(t.Context())
	service.Resume()
	_, err := collect(stream, func() *pb.ProcessEvent { return stream.Msg().GetEvent() })
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
	service.releaseAll()                // what the timer does
	require.Eventually(t, func() bool { // it no longer waits for a reader
		_, err := client.SendInput(t.Context(), connect.NewRequest(&pb.SendInputRequest{
			Process: byPID(pid), Input: &pb.ProcessInput{Input: &pb.ProcessInput_Stdin{Stdin: []byte("go\n")}},
		}))
		return err != nil // it read its line and ended
	}, 10*time.Second, 10*time.Millisecond)
}

func TestSuspend_DoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	service, client := serveService(t)
	stream := startStream(t, client, shell("cat /dev/zero"))
	pid := started(t, stream)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	service.Suspend(ctx)
	service.Resume()
	_, err := client.SendSignal(t.Context(), connect.NewRequest(&pb.SendSignalRequest{Process: byPID(pid), Signal: pb.Signal_SIGNAL_SIGKILL}))
	require.NoError(t, err)
}
