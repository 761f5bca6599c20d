package hostagent

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

func (s *server) SnapshotSandbox(ctx context.Context, request *connect.Request[pb.SnapshotSandboxRequest]) (*connect.Response[pb.SnapshotSandboxResponse], error) {
	taken, err := s.sandboxes.Snapshot(ctx, request.Msg.SandboxId, sandbox.SnapshotRequest{
		BuildID: request.Msg.BuildId, RequestID: request.Msg.RequestId, WithoutMemory: request.Msg.WithoutMemory,
	})
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.SnapshotSandboxResponse{Template: toTemplate(taken)}), nil
}

func (s *server) DeleteSnapshot(_ context.Context, request *connect.Request[pb.DeleteSnapshotRequest]) (*connect.Response[pb.DeleteSnapshotResponse], error) {
	if err := s.sandboxes.Catalog().Delete(request.Msg.BuildId); err != nil {
		return nil, refuse(err)
	}
	s.sizes.Tidy()
	return connect.NewResponse(&pb.DeleteSnapshotResponse{}), nil
}

func (s *server) ForkSandbox(ctx context.Context, request *connect.Request[pb.ForkSandboxRequest]) (*connect.Response[pb.ForkSandboxResponse], error) {
	var forks []sandbox.Fork
	for _, fork := range request.Msg.Forks {
		forks = append(forks, sandbox.Fork{ID: fork.SandboxId, Identity: fromIdentity(fork.Identity)})
	}
	made, err := s.sandboxes.Fork(ctx, request.Msg.SandboxId, request.Msg.RequestId, forks)
	if err != nil {
		return nil, refuse(err)
	}
	response := &pb.ForkSandboxResponse{}
	for _, fork := range made {
		result := &pb.ForkResult{}
		if fork.Err != nil {
			result.Error, result.Refusal = fork.Err.Error(), refusalOf(fork.Err)
		} else {
			result.Sandbox = toSandbox(fork.Info)
		}
		response.Results = append(response.Results, result)
	}
	return connect.NewResponse(response), nil
}

func toTemplate(build *snapshot.Snapshot) *pb.Template {
	return &pb.Template{
		BuildId: build.BuildID, Name: build.Name,
		VcpuCount: uint32(build.VCPUCount), MemoryMib: uint32(build.MemoryMiB), DiskMib: uint32(build.DiskMiB),
		EnvdVersion: build.EnvdVersion,
		Driver:      build.MadeBy.Driver, Accelerator: build.MadeBy.Accelerator,
	}
}
