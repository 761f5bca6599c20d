package hostagent

import (
	"context"
	"errors"
	"math"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
)

func (s *server) CreateVolume(_ context.Context, request *connect.Request[pb.CreateVolumeRequest]) (*connect.Response[pb.CreateVolumeResponse], error) {
	if request.Msg.MaxBytes > math.MaxInt64 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("max_bytes is too large"))
	}
	if err := s.volumes.Create(request.Msg.VolumeId, int64(request.Msg.MaxBytes)); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.CreateVolumeResponse{}), nil
}

func (s *server) DeleteVolume(_ context.Context, request *connect.Request[pb.DeleteVolumeRequest]) (*connect.Response[pb.DeleteVolumeResponse], error) {
	if err := s.volumes.Delete(request.Msg.VolumeId); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.DeleteVolumeResponse{}), nil
}

func fromVolumeMounts(mounts []*pb.VolumeMount) []sandbox.VolumeMount {
	var all []sandbox.VolumeMount
	for _, mount := range mounts {
		all = append(all, sandbox.VolumeMount{VolumeID: mount.VolumeId, Path: mount.Path, MaxBytes: int64(min(mount.MaxBytes, math.MaxInt64))})
	}
	return all
}
