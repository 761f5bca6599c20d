package host_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// forgetful is a host that does what it is asked, and of which the first answers
// are lost on the way.
type forgetful struct {
	hostagentv1connect.UnimplementedHostAgentHandler

	mutex  sync.Mutex
	losses int
	asked  []string // request IDs
	refuse error
}

func (f *forgetful) note(requestID string) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.asked = append(f.asked, requestID)
	return f.refuse
}

func (f *forgetful) CreateSandbox(_ context.Context, request *connect.Request[pb.CreateSandboxRequest]) (*connect.Response[pb.CreateSandboxResponse], error) {
	sandbox := &pb.Sandbox{SandboxId: request.Msg.SandboxId}
	return connect.NewResponse(&pb.CreateSandboxResponse{Sandbox: sandbox}), f.note(request.Msg.RequestId)
}

func (f *forgetful) PauseSandbox(_ context.Context, request *connect.Request[pb.PauseSandboxRequest]) (*connect.Response[pb.PauseSandboxResponse], error) {
	return connect.NewResponse(&pb.PauseSandboxResponse{}), f.note(request.Msg.RequestId)
}

func (f *forgetful) ResumeSandbox(_ context.Context, request *connect.Request[pb.ResumeSandboxRequest]) (*connect.Response[pb.ResumeSandboxResponse], error) {
	return connect.NewResponse(&pb.ResumeSandboxResponse{}), f.note(request.Msg.RequestId)
}

func (f *forgetful) SnapshotSandbox(_ context.Context, request *connect.Request[pb.SnapshotSandboxRequest]) (*connect.Response[pb.SnapshotSandboxResponse], error) {
	return connect.NewResponse(&pb.SnapshotSandboxResponse{}), f.note(request.Msg.RequestId)
}

func (f *forgetful) ForkSandbox(_ context.Context, request *connect.Request[pb.ForkSandboxRequest]) (*connect.Response[pb.ForkSandboxResponse], error) {
	return connect.NewResponse(&pb.ForkSandboxResponse{}), f.note(request.Msg.RequestId)
}

func (f *forgetful) KillSandbox(_ context.Context, request *connect.Request[pb.KillSandboxRequest]) (*connect.Response[pb.KillSandboxResponse], error) {
	return connect.NewResponse(&pb.KillSandboxResponse{}), f.note(request.Msg.RequestId)
}

func (f *forgetful) UpdateNetwork(_ context.Context, request *connect.Request[pb.UpdateNetworkRequest]) (*connect.Response[pb.UpdateNetworkResponse], error) {
	return connect.NewResponse(&pb.UpdateNetworkResponse{}), f.note(request.Msg.RequestId)
}

func (f *forgetful) lose() bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.losses--
	return f.losses >= 0
}

// start serves on a Unix socket until the test ends.
func (f *forgetful) start(t *testing.T) *host.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "rpc.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	_, handler := hostagentv1connect.NewHostAgentHandler(f)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.lose() {
			handler.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return newClient(t, socket)
}

var creation = host.Creation{Sandbox: sandbox.Sandbox{ID: "isandbox"}}

func TestRepeat_SendsTheSameRequestUntilItHasTheAnswer(t *testing.T) {
	t.Parallel()
	f := &forgetful{losses: 3}
	created, err := f.start(t).CreateSandbox(t.Context(), creation)
	require.NoError(t, err)
	require.Equal(t, "isandbox", created.ID)
	require.Equal(t, []string{"isandbox", "isandbox", "isandbox", "isandbox"}, f.asked)
}

func TestRepeat_GivesEachOrderAnIDThatItKeeps(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]func(context.Context, *host.Client) error{
		"pause": func(ctx context.Context, c *host.Client) error {
			_, err := c.PauseSandbox(ctx, "isandbox", sandbox.Pause{})
			return err
		},
		"resume": func(ctx context.Context, c *host.Client) error {
			_, err := c.ResumeSandbox(ctx, "isandbox", host.Resumption{})
			return err
		},
		"snapshot": func(ctx context.Context, c *host.Client) error {
			_, err := c.SnapshotSandbox(ctx, "isandbox", "build", false)
			return err
		},
		"fork": func(ctx context.Context, c *host.Client) error {
			_, err := c.ForkSandbox(ctx, "isandbox", nil)
			return err
		},
		"kill": func(ctx context.Context, c *host.Client) error { return c.KillSandbox(ctx, "isandbox") },
		"network": func(ctx context.Context, c *host.Client) error {
			return c.UpdateNetwork(ctx, "isandbox", sandbox.Network{}, sandbox.Secrets{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &forgetful{losses: 1}
			client := f.start(t)
			require.NoError(t, order(t.Context(), client))
			require.NoError(t, order(t.Context(), client))
			require.Len(t, f.asked, 3)
			require.NotEmpty(t, f.asked[0])
			require.Equal(t, f.asked[0], f.asked[1])
			require.NotEqual(t, f.asked[1], f.asked[2])
		})
	}
}

func TestRepeat_TakesARefusalForAnAnswer(t *testing.T) {
	t.Parallel()
	f := &forgetful{refuse: connect.NewError(connect.CodeFailedPrecondition, errors.New("no"))}
	_, err := f.start(t).CreateSandbox(t.Context(), creation)
	require.True(t, fault.Is(err, fault.Conflict), "%v", err)
	require.Len(t, f.asked, 1)
}

func TestRepeat_WaitsForAnAgentThatIsGoingAwayAndNotForLong(t *testing.T) {
	t.Parallel()
	f := &forgetful{refuse: connect.NewError(connect.CodeUnavailable, errors.New("shutting down"))}
	began := time.Now()
	_, err := f.start(t).CreateSandbox(t.Context(), creation)
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
	require.Greater(t, len(f.asked), 3)
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestRepeat_EndsWithItsCaller(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	client := newClient(t, filepath.Join(t.TempDir(), "nobody.sock"))
	_, err := client.PauseSandbox(ctx, "isandbox", sandbox.Pause{})
	require.Error(t, err)
	require.Less(t, time.Since(began), time.Second)
}
