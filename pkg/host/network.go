package host

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// SetSecrets replaces all secrets that a sandbox has, in any state.
func (c *Client) SetSecrets(ctx context.Context, sandboxID string, secrets sandbox.Secrets) error {
	_, err := c.rpc.SetSecrets(ctx, connect.NewRequest(&pb.SetSecretsRequest{SandboxId: sandboxID, Secrets: toSecrets(secrets)}))
	return translate("hand secrets to sandbox "+sandboxID, err)
}

// UpdateNetwork replaces what a running sandbox may reach, and all its secrets.
func (c *Client) UpdateNetwork(ctx context.Context, sandboxID string, network sandbox.Network, secrets sandbox.Secrets) error {
	_, err := repeat(ctx, c.rpc.UpdateNetwork, &pb.UpdateNetworkRequest{
		SandboxId: sandboxID, Network: toNetwork(network), Secrets: toSecrets(secrets), RequestId: newRequestID(),
	})
	return translate("change the network of sandbox "+sandboxID, err)
}
