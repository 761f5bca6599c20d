package hostagent

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent"
)

func (s *server) CreateVolume(_ context.Context, request *connect.Request[pb.CreateVolumeRequest]) (*connect.Response[pb.CreateVolumeResponse], error) {
	if err := s.volumes.Create(request.Msg.VolumeId); err != nil {
		return nil, toConnect(err)
	}
	return connect.NewResponse(&pb.CreateVolumeResponse{}), nil
}

func (s *server) DeleteVolume(_ context.Context, request *connect.Request[pb.DeleteVolumeRequest]) (*connect.Response[pb.DeleteVolumeResponse], error) {
	if err := s.volumes.Delete(request.Msg.VolumeId); err != nil {
		return nil, toConnect(err)
	}
	return connect.NewResponse(&pb.DeleteVolumeResponse{}), nil
}
