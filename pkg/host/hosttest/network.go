package hosttest

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Network is what a sandbox may reach now.
func (a *Agent) Network(sandboxID string) *pb.NetworkPolicy {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.networks[sandboxID]
}

// UpdateNetwork implements the service.
func (a *Agent) UpdateNetwork(ctx context.Context, request *connect.Request[pb.UpdateNetworkRequest]) (*connect.Response[pb.UpdateNetworkResponse], error) {
	if err := a.enter(ctx, "update network", request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if err := a.mustRun(request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.networks[request.Msg.SandboxId] = request.Msg.Network
	a.setSecrets(request.Msg.SandboxId, request.Msg.Secrets)
	return connect.NewResponse(&pb.UpdateNetworkResponse{}), nil
}
