// Package hosttest is a host agent for tests: the real protocol over real sockets, with
// sandboxes that are only records. Tests use it to cause errors and races that a real host
// does not show on demand.
package hosttest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/volume"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// BuildID is the one template build that the agent has, named "base".
const BuildID = "6f0a3f0c-6a5c-4d0e-9f5b-2f4d3a1b0c9d"

// FailureReason is the reason of a sandbox that is FAILED.
const FailureReason = "its memory file is truncated"

// EnvdVersion is the version of the guest agents.
const EnvdVersion = "0.6.4"

// Agent is the host agent.
type Agent struct {
	hostagentv1connect.UnimplementedHostAgentHandler

	RPCSocket     string
	TrafficSocket string
	Builder       *Builder

	mutex      sync.Mutex
	sandboxes  map[string]*pb.Sandbox
	creations  map[string]*pb.CreateSandboxRequest
	pauses     map[string]*pb.PauseSandboxRequest
	resumes    map[string]*pb.ResumeSandboxRequest
	identities map[string]*pb.Identity
	networks   map[string]*pb.NetworkPolicy
	secrets    map[string]*pb.Secrets
	snapshots  map[string]string // sandbox by build
	cold       []string          // builds without memory
	samples    map[string]*pb.SandboxSamples
	signingKey *pb.SetSigningKeyRequest // nil for none
	before     func(ctx context.Context, operation, sandboxID string) error
	watchers   map[chan *pb.Sandbox]struct{}
	volumes    *volume.Store
	stop       context.CancelFunc

	log          *slog.Logger
	unresponsive bool
	is           sandbox.Maker
	stopped      context.Context
}

// Start runs an agent until the test ends. Traffic to any guest goes to guest.
func Start(t testing.TB, guest http.Handler) *Agent {
	t.Helper()
	return StartLogging(t, guest, slog.New(slog.DiscardHandler))
}

// StartLogging runs an agent that logs each call with its request, as a real one does.
func StartLogging(t testing.TB, guest http.Handler, log *slog.Logger) *Agent {
	t.Helper()
	// Not t.TempDir: the name of a test may make a socket's path too long.
	dir, err := os.MkdirTemp("", "wrenn-agent-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	a := &Agent{
		RPCSocket: filepath.Join(dir, "rpc.sock"), TrafficSocket: filepath.Join(dir, "traffic.sock"),
		sandboxes: map[string]*pb.Sandbox{}, creations: map[string]*pb.CreateSandboxRequest{},
		pauses: map[string]*pb.PauseSandboxRequest{}, resumes: map[string]*pb.ResumeSandboxRequest{}, identities: map[string]*pb.Identity{},
		networks: map[string]*pb.NetworkPolicy{}, secrets: map[string]*pb.Secrets{}, snapshots: map[string]string{}, samples: map[string]*pb.SandboxSamples{},
		watchers: map[chan *pb.Sandbox]struct{}{}, log: log, Builder: newBuilder(), is: sandbox.Maker{Driver: "qemu", Accelerator: "tcg"},
	}
	a.stopped, a.stop = context.WithCancel(context.Background())
	t.Cleanup(a.stop)
	a.volumes, err = volume.OpenStore(filepath.Join(dir, "volumes"), 0)
	require.NoError(t, err)
	serve(t, a.RPCSocket, a.orders())
	serve(t, a.TrafficSocket, guest)
	t.Cleanup(a.stop) // ends the watchers before their server is closed
	return a
}

// orders returns the handler of control planes' calls.
func (a *Agent) orders() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(hostagentv1connect.NewHostAgentHandler(a, connect.WithInterceptors(requestlog.NewInterceptor(a.log))))
	mux.Handle(a.Builder.handler())
	mux.Handle(host.VolumePrefix, a.volumes)
	return mux
}

func serve(t testing.TB, socket string, handler http.Handler) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
}

// Before makes hook run before each operation ("create", "prepare size", "pause", "resume",
// "kill", "list", "snapshot", "delete snapshot", "fork", "become a fork",
// "update network", "set secrets", "set signing key", "samples", "create volume", "delete volume"); its error fails the operation.
func (a *Agent) Before(hook func(ctx context.Context, operation, sandboxID string) error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.before = hook
}

// States returns the states of all sandboxes.
func (a *Agent) States() map[string]pb.SandboxState {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	states := map[string]pb.SandboxState{}
	for id, sandbox := range a.sandboxes {
		states[id] = sandbox.State
	}
	return states
}

// Creation returns the request that created a sandbox.
func (a *Agent) Creation(sandboxID string) *pb.CreateSandboxRequest {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.creations[sandboxID]
}

// Identity returns the last identity that a sandbox was given.
func (a *Agent) Identity(sandboxID string) *pb.Identity {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.identities[sandboxID]
}

// Unresponsive makes pauses find a guest agent that does not answer.
func (a *Agent) Unresponsive() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.unresponsive = true
}

// Resume returns the last request to resume a sandbox.
func (a *Agent) Resume(sandboxID string) *pb.ResumeSandboxRequest {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.resumes[sandboxID]
}

// Pause returns the last request to pause a sandbox.
func (a *Agent) Pause(sandboxID string) *pb.PauseSandboxRequest {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.pauses[sandboxID]
}

// Put moves a sandbox to a state without a call; GONE removes it.
func (a *Agent) Put(sandboxID string, state pb.SandboxState) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.put(sandboxID, state)
}

// EndStreams ends all streams of changes, as an agent does that shuts down.
func (a *Agent) EndStreams() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for watcher := range a.watchers {
		close(watcher)
	}
	clear(a.watchers)
}

// Watched returns how many streams of changes are open.
func (a *Agent) Watched() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.watchers)
}

// put is called with the mutex held.
func (a *Agent) put(sandboxID string, state pb.SandboxState) *pb.Sandbox {
	if state == pb.SandboxState_SANDBOX_STATE_PAUSED || state == pb.SandboxState_SANDBOX_STATE_GONE {
		delete(a.secrets, sandboxID)
	}
	size := a.creations[sandboxID].GetSize()
	sandbox := &pb.Sandbox{
		SecretsRevision: a.secrets[sandboxID].GetRevision(),
		SandboxId:       sandboxID, BuildId: BuildID, State: state,
		VcpuCount: cmp.Or(size.GetVcpuCount(), 1), MemoryMib: cmp.Or(size.GetMemoryMib(), 512), DiskMib: cmp.Or(size.GetDiskMib(), 4096),
		EnvdVersion: EnvdVersion,
	}
	if state == pb.SandboxState_SANDBOX_STATE_FAILED {
		sandbox.Reason = FailureReason
	}
	a.sandboxes[sandboxID] = sandbox
	if state == pb.SandboxState_SANDBOX_STATE_GONE {
		delete(a.sandboxes, sandboxID)
	}
	for watcher := range a.watchers {
		watcher <- sandbox
	}
	return sandbox
}

func (a *Agent) enter(ctx context.Context, operation, sandboxID string) error {
	a.mutex.Lock()
	hook := a.before
	a.mutex.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, operation, sandboxID)
}

// step moves a sandbox from one state to the next. It succeeds where that is its state
// already.
func (a *Agent) step(ctx context.Context, operation, sandboxID string, from, next pb.SandboxState) (*pb.Sandbox, error) {
	if err := a.enter(ctx, operation, sandboxID); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	sandbox, ok := a.sandboxes[sandboxID]
	switch {
	case !ok:
		return nil, host.Refuse(pb.Reason_REASON_SANDBOX_NOT_FOUND, "", errors.New("no such sandbox"))
	case sandbox.State == next:
		return sandbox, nil
	case sandbox.State != from:
		return nil, host.Refuse(pb.Reason_REASON_WRONG_STATE, "", errors.New("sandbox is "+sandbox.State.String()))
	}
	return a.put(sandboxID, next), nil
}

// Become changes the driver and the accelerator, as a restart of a host's agent may.
func (a *Agent) Become(other sandbox.Maker) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.is = other
}

// GetInfo implements the service.
func (a *Agent) GetInfo(context.Context, *connect.Request[pb.GetInfoRequest]) (*connect.Response[pb.GetInfoResponse], error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return connect.NewResponse(&pb.GetInfoResponse{
		Version: "test", Driver: a.is.Driver, Accelerator: a.is.Accelerator, CpuCount: 2,
		SigningKeyId:     a.signingKey.GetKeyId(),
		MemoryTotalBytes: 16 << 30, MemoryAvailableBytes: 8 << 30, DiskTotalBytes: 1 << 40, DiskAvailableBytes: 1 << 39,
	}), nil
}

// ListTemplates implements the service.
func (a *Agent) ListTemplates(context.Context, *connect.Request[pb.ListTemplatesRequest]) (*connect.Response[pb.ListTemplatesResponse], error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return connect.NewResponse(&pb.ListTemplatesResponse{Templates: []*pb.Template{{
		BuildId: BuildID, Name: "base", VcpuCount: 1, MemoryMib: 512, DiskMib: 4096, EnvdVersion: EnvdVersion,
		Driver: a.is.Driver, Accelerator: a.is.Accelerator,
	}}}), nil
}

// CreateSandbox implements the service.
func (a *Agent) CreateSandbox(ctx context.Context, request *connect.Request[pb.CreateSandboxRequest]) (*connect.Response[pb.CreateSandboxResponse], error) {
	sandboxID := request.Msg.SandboxId
	if err := a.enter(ctx, "create", sandboxID); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if !sandbox.IsolationOf(a.is.Driver).Satisfies(sandbox.Isolation(request.Msg.Isolation)) {
		return nil, host.Refuse(pb.Reason_REASON_WRONG_ISOLATION, "", errors.New("this is "+a.is.String()))
	}
	a.creations[sandboxID] = request.Msg
	a.identities[sandboxID] = request.Msg.Identity
	a.networks[sandboxID] = request.Msg.Network
	a.secrets[sandboxID] = request.Msg.Secrets
	return connect.NewResponse(&pb.CreateSandboxResponse{Sandbox: a.put(sandboxID, pb.SandboxState_SANDBOX_STATE_RUNNING)}), nil
}

// PrepareSize implements the service: it tells one line before the hook of "prepare size",
// and one after it.
func (a *Agent) PrepareSize(ctx context.Context, _ *connect.Request[pb.PrepareSizeRequest], stream *connect.ServerStream[pb.PrepareSizeResponse]) error {
	if err := stream.Send(&pb.PrepareSizeResponse{Text: "the template boots"}); err != nil {
		return err
	}
	if err := a.enter(ctx, "prepare size", ""); err != nil {
		return err
	}
	return stream.Send(&pb.PrepareSizeResponse{Text: "the size is ready"})
}

// PauseSandbox implements the service.
func (a *Agent) PauseSandbox(ctx context.Context, request *connect.Request[pb.PauseSandboxRequest]) (*connect.Response[pb.PauseSandboxResponse], error) {
	sandbox, err := a.step(ctx, "pause", request.Msg.SandboxId, pb.SandboxState_SANDBOX_STATE_RUNNING, pb.SandboxState_SANDBOX_STATE_PAUSED)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.pauses[request.Msg.SandboxId] = request.Msg
	if a.unresponsive && sandbox != nil {
		sandbox = proto.CloneOf(sandbox) // others may be reading the one that is known
		sandbox.GuestUnresponsive = true
		a.sandboxes[request.Msg.SandboxId] = sandbox
	}
	return connect.NewResponse(&pb.PauseSandboxResponse{Sandbox: sandbox}), err
}

// ResumeSandbox implements the service.
func (a *Agent) ResumeSandbox(ctx context.Context, request *connect.Request[pb.ResumeSandboxRequest]) (*connect.Response[pb.ResumeSandboxResponse], error) {
	sandbox, err := a.step(ctx, "resume", request.Msg.SandboxId, pb.SandboxState_SANDBOX_STATE_PAUSED, pb.SandboxState_SANDBOX_STATE_RUNNING)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.identities[request.Msg.SandboxId] = request.Msg.Identity
	a.resumes[request.Msg.SandboxId] = request.Msg
	return connect.NewResponse(&pb.ResumeSandboxResponse{Sandbox: sandbox}), err
}

// KillSandbox implements the service.
func (a *Agent) KillSandbox(ctx context.Context, request *connect.Request[pb.KillSandboxRequest]) (*connect.Response[pb.KillSandboxResponse], error) {
	if err := a.enter(ctx, "kill", request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if _, ok := a.sandboxes[request.Msg.SandboxId]; !ok {
		return nil, host.Refuse(pb.Reason_REASON_SANDBOX_NOT_FOUND, "", errors.New("no such sandbox"))
	}
	a.put(request.Msg.SandboxId, pb.SandboxState_SANDBOX_STATE_GONE)
	return connect.NewResponse(&pb.KillSandboxResponse{}), nil
}

// GetSandbox implements the service.
func (a *Agent) GetSandbox(_ context.Context, request *connect.Request[pb.GetSandboxRequest]) (*connect.Response[pb.GetSandboxResponse], error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	sandbox, ok := a.sandboxes[request.Msg.SandboxId]
	if !ok {
		return nil, host.Refuse(pb.Reason_REASON_SANDBOX_NOT_FOUND, "", errors.New("no such sandbox"))
	}
	return connect.NewResponse(&pb.GetSandboxResponse{Sandbox: sandbox}), nil
}

// ListSandboxes implements the service.
func (a *Agent) ListSandboxes(ctx context.Context, _ *connect.Request[pb.ListSandboxesRequest]) (*connect.Response[pb.ListSandboxesResponse], error) {
	if err := a.enter(ctx, "list", ""); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return connect.NewResponse(&pb.ListSandboxesResponse{Sandboxes: a.sorted()}), nil
}

func (a *Agent) sorted() []*pb.Sandbox {
	return slices.SortedFunc(maps.Values(a.sandboxes), func(x, y *pb.Sandbox) int {
		return strings.Compare(x.SandboxId, y.SandboxId)
	})
}

// watcherBuffer is more changes than a test makes before they are read.
const watcherBuffer = 1024

// WatchSandboxes implements the service.
func (a *Agent) WatchSandboxes(ctx context.Context, _ *connect.Request[pb.WatchSandboxesRequest], stream *connect.ServerStream[pb.WatchSandboxesResponse]) error {
	changes := make(chan *pb.Sandbox, watcherBuffer)
	a.mutex.Lock()
	for _, sandbox := range a.sorted() {
		changes <- sandbox
	}
	a.watchers[changes] = struct{}{}
	a.mutex.Unlock()
	defer func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.watchers, changes)
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.stopped.Done():
			return nil
		case sandbox, open := <-changes:
			if !open {
				return connect.NewError(connect.CodeCanceled, errors.New("the host agent is shutting down"))
			}
			if err := stream.Send(&pb.WatchSandboxesResponse{Sandbox: sandbox}); err != nil {
				return err
			}
		}
	}
}
