package hosttest

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// CreateVolume makes a volume on the real disk.
func (a *Agent) CreateVolume(ctx context.Context, request *connect.Request[pb.CreateVolumeRequest]) (*connect.Response[pb.CreateVolumeResponse], error) {
	if err := a.enter(ctx, "create volume", request.Msg.VolumeId); err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.CreateVolumeResponse{}), a.volumes.Create(request.Msg.VolumeId, int64(request.Msg.MaxBytes))
}

// DeleteVolume deletes a volume from the real disk.
func (a *Agent) DeleteVolume(ctx context.Context, request *connect.Request[pb.DeleteVolumeRequest]) (*connect.Response[pb.DeleteVolumeResponse], error) {
	if err := a.enter(ctx, "delete volume", request.Msg.VolumeId); err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.DeleteVolumeResponse{}), a.volumes.Delete(request.Msg.VolumeId)
}
