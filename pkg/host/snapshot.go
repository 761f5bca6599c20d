package host

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Fork is one sandbox to be made of another.
type Fork struct {
	SandboxID string
	EnvVars   map[string]string
}

// ForkResult is a fork that runs, or why there is none.
type ForkResult struct {
	Sandbox Sandbox
	// Err is a fault where the host gave a reason; nil where the fork runs.
	Err error
}

// SnapshotSandbox writes a running sandbox down as a build, and answers when that
// is durable. The sandbox runs on. Without memory only its file system is kept.
func (c *Client) SnapshotSandbox(ctx context.Context, sandboxID, buildID string, withoutMemory bool) (Template, error) {
	response, err := repeat(ctx, c.rpc.SnapshotSandbox, &pb.SnapshotSandboxRequest{
		SandboxId: sandboxID, BuildId: buildID, RequestId: newRequestID(), WithoutMemory: withoutMemory,
	})
	if err != nil {
		return Template{}, translate("take a snapshot of sandbox "+sandboxID, err)
	}
	return fromTemplate(response.Msg.Template), nil
}

// DeleteSnapshot deletes a build that SnapshotSandbox has made. One that the host
// does not have is deleted already.
func (c *Client) DeleteSnapshot(ctx context.Context, buildID string) error {
	_, err := c.rpc.DeleteSnapshot(ctx, connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: buildID}))
	return unlessAbsent(translate("delete snapshot "+buildID, err))
}

// ForkSandbox makes sandboxes that begin where a running one is. The results are
// in the order of forks.
func (c *Client) ForkSandbox(ctx context.Context, sandboxID string, forks []Fork) ([]ForkResult, error) {
	request := &pb.ForkSandboxRequest{SandboxId: sandboxID, RequestId: newRequestID()}
	for _, fork := range forks {
		request.Forks = append(request.Forks, &pb.Fork{SandboxId: fork.SandboxID, Identity: toIdentity(fork.EnvVars)})
	}
	response, err := repeat(ctx, c.rpc.ForkSandbox, request)
	if err != nil {
		return nil, translate("fork sandbox "+sandboxID, err)
	}
	if len(response.Msg.Results) != len(forks) {
		return nil, fmt.Errorf("fork sandbox %s: %d results for %d forks", sandboxID, len(response.Msg.Results), len(forks))
	}
	results := make([]ForkResult, 0, len(forks))
	for _, result := range response.Msg.Results {
		if result.Sandbox != nil {
			results = append(results, ForkResult{Sandbox: fromSandbox(result.Sandbox)})
			continue
		}
		cause := fmt.Errorf("fork sandbox %s: %s", sandboxID, result.Error)
		results = append(results, ForkResult{Err: faultOf(result.Refusal, cause)})
	}
	return results, nil
}
