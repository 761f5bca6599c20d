package hosttest

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Take makes the agent have samples of a sandbox, in place of those it had.
func (a *Agent) Take(samples *pb.SandboxSamples) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.samples[samples.SandboxId] = samples
}

// ListSamples implements the service. It heeds neither sandbox_ids nor since.
func (a *Agent) ListSamples(ctx context.Context, _ *connect.Request[pb.ListSamplesRequest]) (*connect.Response[pb.ListSamplesResponse], error) {
	if err := a.enter(ctx, "samples", ""); err != nil {
		return nil, err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	response := &pb.ListSamplesResponse{}
	for _, sandbox := range a.sorted() {
		if samples := a.samples[sandbox.SandboxId]; samples != nil {
			response.Sandboxes = append(response.Sandboxes, samples)
		}
	}
	return connect.NewResponse(response), nil
}
