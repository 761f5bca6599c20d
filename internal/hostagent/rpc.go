package hostagent

import (
	"context"
	"runtime"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/size"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/volume"
)

// server implements the RPC service.
type server struct {
	sandboxes  *sandbox.Manager
	driver     vmm.Driver
	sizes      *size.Store
	version    string
	storageDir string
	volumes    *volume.Store
	stopping   <-chan struct{} // closed when the agent is about to stop
}

var _ hostagentv1connect.HostAgentHandler = (*server)(nil)

func (s *server) GetInfo(context.Context, *connect.Request[pb.GetInfoRequest]) (*connect.Response[pb.GetInfoResponse], error) {
	memoryTotal, _, err := admission.HostMemory()
	if err != nil {
		return nil, refuse(err)
	}
	load, err := s.sandboxes.Load()
	if err != nil {
		return nil, refuse(err)
	}
	diskTotal, diskAvailable, err := disk.Usage(s.storageDir)
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.GetInfoResponse{
		Version: s.version, Driver: s.driver.Name(), Accelerator: s.driver.Accelerator(),
		CpuCount:         uint32(runtime.NumCPU()),
		MemoryTotalBytes: memoryTotal, MemoryAvailableBytes: load.MemoryAvailableBytes,
		DiskTotalBytes: diskTotal, DiskAvailableBytes: diskAvailable,
		SandboxCount:  uint32(len(s.sandboxes.List())),
		ReadyCount:    uint32(load.ReadyGuests),
		AllocatedCpus: uint32(load.Promised.VCPUCount), AllocatedMemoryBytes: uint64(load.Promised.MemoryMiB) << 20,
		CpuUsedPercent: load.CPUUsedPercent, MemoryPressurePercent: load.MemoryPressurePercent,
		SandboxCounts:    toCounts(load.Sandboxes),
		CreatesSucceeded: load.CreatesSucceeded, CreatesFailed: load.CreatesFailed,
		SigningKeyId: s.sandboxes.Signer().KeyID(),
	}), nil
}

func (s *server) ListTemplates(context.Context, *connect.Request[pb.ListTemplatesRequest]) (*connect.Response[pb.ListTemplatesResponse], error) {
	response := &pb.ListTemplatesResponse{}
	for _, template := range s.sandboxes.Catalog().Templates() {
		response.Templates = append(response.Templates, toTemplate(template))
	}
	return connect.NewResponse(response), nil
}

func (s *server) CreateSandbox(ctx context.Context, request *connect.Request[pb.CreateSandboxRequest]) (*connect.Response[pb.CreateSandboxResponse], error) {
	if err := s.requireIsolation(request.Msg.Isolation); err != nil {
		return nil, refuse(err)
	}
	wanted, err := fromSize(request.Msg.Size)
	if err != nil {
		return nil, refuse(err)
	}
	info, err := s.sandboxes.Create(ctx, sandbox.CreateRequest{
		ID: request.Msg.SandboxId, BuildID: request.Msg.BuildId, Size: wanted,
		Identity: fromIdentity(request.Msg.Identity), Network: fromNetwork(request.Msg.Network, request.Msg.DenyInternet), RequestID: request.Msg.RequestId,
		Secrets: fromSecrets(request.Msg.Secrets), Volumes: fromVolumeMounts(request.Msg.VolumeMounts),
		Workload: fromWorkload(request.Msg.WorkloadIdentity),
	})
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.CreateSandboxResponse{Sandbox: toSandbox(info)}), nil
}

func (s *server) PauseSandbox(ctx context.Context, request *connect.Request[pb.PauseSandboxRequest]) (*connect.Response[pb.PauseSandboxResponse], error) {
	info, err := s.sandboxes.Pause(ctx, request.Msg.SandboxId, request.Msg.RequestId, sandbox.PauseRequest{
		DiskOnly: request.Msg.WithoutMemory, RequireHealthyGuest: request.Msg.RequireHealthyGuest,
	})
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.PauseSandboxResponse{Sandbox: toSandbox(info)}), nil
}

func (s *server) ResumeSandbox(ctx context.Context, request *connect.Request[pb.ResumeSandboxRequest]) (*connect.Response[pb.ResumeSandboxResponse], error) {
	if err := s.requireIsolation(request.Msg.Isolation); err != nil {
		return nil, refuse(err)
	}
	info, err := s.sandboxes.Resume(ctx, request.Msg.SandboxId, request.Msg.RequestId, fromIdentity(request.Msg.Identity), request.Msg.WithoutMemory)
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.ResumeSandboxResponse{Sandbox: toSandbox(info)}), nil
}

func (s *server) KillSandbox(ctx context.Context, request *connect.Request[pb.KillSandboxRequest]) (*connect.Response[pb.KillSandboxResponse], error) {
	if err := s.sandboxes.Kill(ctx, request.Msg.SandboxId, request.Msg.RequestId); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.KillSandboxResponse{}), nil
}

func (s *server) GetSandbox(_ context.Context, request *connect.Request[pb.GetSandboxRequest]) (*connect.Response[pb.GetSandboxResponse], error) {
	info, err := s.sandboxes.Get(request.Msg.SandboxId)
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.GetSandboxResponse{Sandbox: toSandbox(info)}), nil
}

func (s *server) ListSandboxes(context.Context, *connect.Request[pb.ListSandboxesRequest]) (*connect.Response[pb.ListSandboxesResponse], error) {
	response := &pb.ListSandboxesResponse{}
	for _, info := range s.sandboxes.List() {
		response.Sandboxes = append(response.Sandboxes, toSandbox(info))
	}
	return connect.NewResponse(response), nil
}

// untilStopping ends a context also when the agent is about to stop. release waits for the
// goroutine that looks for that.
func untilStopping(ctx context.Context, stopping <-chan struct{}) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-watching }
}

// WatchSandboxes also ends when the agent is about to stop, which waits for requests.
func (s *server) WatchSandboxes(ctx context.Context, _ *connect.Request[pb.WatchSandboxesRequest], stream *connect.ServerStream[pb.WatchSandboxesResponse]) error {
	ctx, release := untilStopping(ctx, s.stopping)
	defer release()
	err := s.sandboxes.Watch(ctx, func(info sandbox.Info) error {
		return stream.Send(&pb.WatchSandboxesResponse{Sandbox: toSandbox(info)})
	})
	if ctx.Err() != nil {
		return nil // the watcher has disconnected
	}
	return err
}

func fromIdentity(identity *pb.Identity) sandbox.Identity {
	return sandbox.Identity{
		EnvVars: identity.GetEnvVars(), LifecycleID: identity.GetLifecycleId(),
	}
}
