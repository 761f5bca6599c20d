package envdclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/process"
	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
)

// reader is a guest agent whose process reads to the end of its stdin, unless it fails first.
type reader struct {
	processconnect.UnimplementedProcessHandler
	refuses bool // takes no input
	ends    bool // ends at once, without reading
	closed  chan struct{}
	closes  atomic.Int32
}

func (r *reader) Start(ctx context.Context, _ *connect.Request[process.StartRequest], stream *connect.ServerStream[process.StartResponse]) error {
	err := stream.Send(&process.StartResponse{Event: &process.ProcessEvent{Event: &process.ProcessEvent_Start{Start: &process.ProcessEvent_StartEvent{Pid: 1}}}})
	if err != nil {
		return err
	}
	if !r.ends {
		select {
		case <-r.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return stream.Send(&process.StartResponse{Event: &process.ProcessEvent{Event: &process.ProcessEvent_End{End: &process.ProcessEvent_EndEvent{Exited: true}}}})
}

func (r *reader) StreamInput(_ context.Context, stream *connect.ClientStream[process.StreamInputRequest]) (*connect.Response[process.StreamInputResponse], error) {
	for !r.refuses && stream.Receive() {
	}
	if r.refuses {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("no input"))
	}
	return connect.NewResponse(&process.StreamInputResponse{}), stream.Err()
}

func (r *reader) CloseStdin(context.Context, *connect.Request[process.CloseStdinRequest]) (*connect.Response[process.CloseStdinResponse], error) {
	if r.closes.Add(1) == 1 {
		close(r.closed)
	}
	return connect.NewResponse(&process.CloseStdinResponse{}), nil
}

// failing fails after some bytes.
type failing struct{ io.Reader }

var errSource = errors.New("the source is broken")

func (f failing) Read(buffer []byte) (int, error) {
	n, err := f.Reader.Read(buffer)
	if errors.Is(err, io.EOF) {
		err = errSource
	}
	return n, err
}

func TestExecute_NeverEndsAStdinThatWasNotSentWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		guest *reader
		stdin io.Reader
		want  string
	}{
		"sent whole":             {&reader{}, strings.NewReader("whole"), ""},
		"a broken source":        {&reader{}, failing{strings.NewReader("half")}, errSource.Error()},
		"a guest that refuses":   {&reader{refuses: true}, strings.NewReader("whole"), "no input"},
		"a process that ends":    {&reader{refuses: true, ends: true}, strings.NewReader("whole"), ""},
		"a source of no content": {&reader{}, strings.NewReader(""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.guest.closed = make(chan struct{})
			mux := http.NewServeMux()
			mux.Handle(processconnect.NewProcessHandler(c.guest))
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			client := &Client{base: server.URL, client: server.Client()}
			exit, err := client.Execute(t.Context(), "", Command{Path: "cat", Stdin: c.stdin}, Follower{})
			if c.want == "" {
				require.NoError(t, err)
				require.True(t, exit.Succeeded())
				return
			}
			require.ErrorContains(t, err, c.want)
			require.Zero(t, c.guest.closes.Load(), "the process would take what it got for all")
		})
	}
}
