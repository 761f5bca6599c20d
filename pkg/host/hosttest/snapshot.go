package hosttest

import (
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Builds are the snapshots that the agent has, each with the sandbox it is of.
func (a *Agent) Builds() map[string]string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	builds := map[string]string{}
	for buildID, sandboxID := range a.snapshots {
		builds[buildID] = sandboxID
	}
	return builds
}

// BuildsWithoutMemory are the snapshots that were taken of a file system alone.
func (a *Agent) BuildsWithoutMemory() []string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.Clone(a.cold)
}

// mustRun is called with the mutex held.
func (a *Agent) mustRun(sandboxID string) error {
	sandbox, ok := a.sandboxes[sandboxID]
	switch {
	case !ok:
		return host.Refuse(pb.Reason_REASON_SANDBOX_NOT_FOUND, "", errors.New("no such sandbox"))
	case sandbox.State != pb.SandboxState_SANDBOX_STATE_RUNNING:
		return host.Refuse(pb.Reason_REASON_WRONG_STATE, "", errors.New("sandbox is "+sandbox.State.String()))
	}
	return nil
}

// SnapshotSandbox implements the service.
func (a *Agent) SnapshotSandbox(ctx context.Context, request *connect.Request[pb.SnapshotSandboxRequest]) (*connect.Response[pb.SnapshotSandboxResponse], error) {
	if err := a.enter(ctx, "snapshot", request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if err := a.mustRun(request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.snapshots[request.Msg.BuildId] = request.Msg.SandboxId
	madeBy := a.is
	if request.Msg.WithoutMemory {
		a.cold, madeBy = append(a.cold, request.Msg.BuildId), sandbox.Maker{}
	}
	return connect.NewResponse(&pb.SnapshotSandboxResponse{Template: &pb.Template{
		BuildId: request.Msg.BuildId, VcpuCount: 1, MemoryMib: 512, DiskMib: 4096, EnvdVersion: EnvdVersion,
		Driver: madeBy.Driver, Accelerator: madeBy.Accelerator,
	}}), nil
}

// DeleteSnapshot implements the service.
func (a *Agent) DeleteSnapshot(ctx context.Context, request *connect.Request[pb.DeleteSnapshotRequest]) (*connect.Response[pb.DeleteSnapshotResponse], error) {
	if err := a.enter(ctx, "delete snapshot", request.Msg.BuildId); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if _, ok := a.snapshots[request.Msg.BuildId]; !ok {
		return nil, host.Refuse(pb.Reason_REASON_BUILD_NOT_FOUND, "", errors.New("no such snapshot"))
	}
	delete(a.snapshots, request.Msg.BuildId)
	return connect.NewResponse(&pb.DeleteSnapshotResponse{}), nil
}

// ForkSandbox implements the service. The hook is asked about each fork, too.
func (a *Agent) ForkSandbox(ctx context.Context, request *connect.Request[pb.ForkSandboxRequest]) (*connect.Response[pb.ForkSandboxResponse], error) {
	if err := a.enter(ctx, "fork", request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	err := a.mustRun(request.Msg.SandboxId)
	a.mutex.Unlock()
	if err != nil {
		return nil, err
	}
	response := &pb.ForkSandboxResponse{}
	for _, fork := range request.Msg.Forks {
		if err := a.enter(ctx, "become a fork", fork.SandboxId); err != nil {
			response.Results = append(response.Results, &pb.ForkResult{Error: err.Error(), Refusal: refusalOf(err)})
			continue
		}
		a.mutex.Lock()
		a.identities[fork.SandboxId] = fork.Identity
		a.secrets[fork.SandboxId] = a.secrets[request.Msg.SandboxId]
		response.Results = append(response.Results, &pb.ForkResult{Sandbox: a.put(fork.SandboxId, pb.SandboxState_SANDBOX_STATE_RUNNING)})
		a.mutex.Unlock()
	}
	return connect.NewResponse(response), nil
}

// refusalOf finds the reason that a hook has given.
func refusalOf(err error) *pb.Refusal {
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return nil
	}
	for _, detail := range refused.Details() {
		if value, err := detail.Value(); err == nil {
			refusal, _ := value.(*pb.Refusal)
			return refusal
		}
	}
	return nil
}
