package hosttest

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// Secrets are those that a sandbox holds, by name.
func (a *Agent) Secrets(sandboxID string) map[string]string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.secrets[sandboxID].GetValues()
}

// ForgetSecrets takes all secrets from all sandboxes, as a restart does.
func (a *Agent) ForgetSecrets() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for id := range a.secrets {
		a.setSecrets(id, nil)
	}
}

// SetSecrets implements the service.
func (a *Agent) SetSecrets(ctx context.Context, request *connect.Request[pb.SetSecretsRequest]) (*connect.Response[pb.SetSecretsResponse], error) {
	if err := a.enter(ctx, "set secrets", request.Msg.SandboxId); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if _, there := a.sandboxes[request.Msg.SandboxId]; !there {
		return nil, host.Refuse(pb.Reason_REASON_SANDBOX_NOT_FOUND, "", errors.New("no such sandbox"))
	}
	a.setSecrets(request.Msg.SandboxId, request.Msg.Secrets)
	return connect.NewResponse(&pb.SetSecretsResponse{}), nil
}

// setSecrets is called with the mutex held.
func (a *Agent) setSecrets(sandboxID string, secrets *pb.Secrets) {
	a.secrets[sandboxID] = secrets
	if known, there := a.sandboxes[sandboxID]; there {
		changed := proto.CloneOf(known) // others may be reading the one that is known
		changed.SecretsRevision = secrets.GetRevision()
		a.sandboxes[sandboxID] = changed
	}
}
