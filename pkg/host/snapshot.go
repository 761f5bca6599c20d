package host

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Fork is one sandbox to be created as a fork.
type Fork struct {
	SandboxID string
	EnvVars   map[string]string
}

// ForkResult is a fork that runs, or the error of one that does not.
type ForkResult struct {
	Sandbox Sandbox
	// Err is a fault where the host has given a reason; nil where the fork runs.
	Err error
}

// SnapshotSandbox takes a snapshot of a running sandbox, as a build, and returns when it
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

// DeleteSnapshot deletes a build that SnapshotSandbox has made. It succeeds where the host
// does not have it.
func (c *Client) DeleteSnapshot(ctx context.Context, buildID string) error {
	_, err := c.rpc.DeleteSnapshot(ctx, connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: buildID}))
	return unlessAbsent(translate("delete snapshot "+buildID, err))
}

// ForkSandbox creates forks of a running sandbox. The results are in the order of forks.
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
