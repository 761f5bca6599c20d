package hostagent

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent"
)

func (s *server) ListSamples(context.Context, *connect.Request[pb.ListSamplesRequest]) (*connect.Response[pb.ListSamplesResponse], error) {
	return nil, connect.NewError(connect.CodeUnimplemented, errors.New("nothing is sampled yet"))
}
