package filesystem

import (
	"context"
	"time"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// WatchDir streams changes until the client disconnects. While the client reads slowly the
// kernel queues changes; an overflow of its queue ends the stream with an error, as does
// the end of the directory.
func (s *Service) WatchDir(ctx context.Context, request *connect.Request[pb.WatchDirRequest], stream *connect.ServerStream[pb.WatchDirResponse]) error {
	w, err := s.openWatch(ctx, request.Header(), request.Msg)
	if err != nil {
		return err
	}
	defer w.close()
	defer w.interruptOn(ctx)()
	started := &pb.WatchDirResponse{Event: &pb.WatchDirResponse_Start{Start: &pb.WatchDirResponse_StartEvent{}}}
	if err := stream.Send(started); err != nil {
		return err
	}
	interval := utils.KeepaliveInterval(request.Header())
	ping := time.Now().Add(interval)
	for {
		events, ended := w.next(ctx, ping)
		for _, event := range events {
			response := &pb.WatchDirResponse{Event: &pb.WatchDirResponse_Filesystem{Filesystem: event}}
			if err := stream.Send(response); err != nil {
				return err
			}
		}
		if ended != nil {
			return toConnect(ended)
		}
		if time.Now().Before(ping) {
			continue
		}
		alive := &pb.WatchDirResponse{Event: &pb.WatchDirResponse_Keepalive{Keepalive: &pb.WatchDirResponse_KeepAlive{}}}
		if err := stream.Send(alive); err != nil {
			return err
		}
		ping = time.Now().Add(interval)
	}
}
