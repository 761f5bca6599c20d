package hostagent

import (
	"context"
	"fmt"
	"math"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
)

// PrepareSize also ends when the agent is about to stop, which waits for requests.
func (s *server) PrepareSize(ctx context.Context, request *connect.Request[pb.PrepareSizeRequest], stream *connect.ServerStream[pb.PrepareSizeResponse]) error {
	ctx, unwatch := untilStopping(ctx, s.stopping)
	defer unwatch()
	var release func()
	wanted, err := fromSize(request.Msg.Size)
	if err == nil {
		_, release, err = s.sizes.Find(ctx, request.Msg.BuildId, wanted, func(text string) {
			_ = stream.Send(&pb.PrepareSizeResponse{Text: text}) // a caller that has left reads none
		})
	}
	if err != nil {
		return refuse(err)
	}
	release()
	return nil
}

// fromSize decodes a size, which may be absent.
func fromSize(m *pb.Size) (admission.Size, error) {
	for _, number := range []uint32{m.GetVcpuCount(), m.GetMemoryMib(), m.GetDiskMib()} {
		if number > math.MaxInt32 {
			return admission.Size{}, fmt.Errorf("a size of %d: %w", number, sandbox.ErrInvalid)
		}
	}
	return admission.Size{VCPUCount: int(m.GetVcpuCount()), MemoryMiB: int(m.GetMemoryMib()), DiskMiB: int(m.GetDiskMib())}, nil
}
