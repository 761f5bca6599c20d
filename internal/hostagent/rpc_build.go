package hostagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/build"
	"git.omukk.dev/wrenn/sandbox/internal/build/archives"
	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/size"
)

// builds implements the RPC service of builds.
type builds struct {
	builder  *build.Builder
	sizes    *size.Store
	uploads  *archives.Store
	stopping <-chan struct{} // closed when the agent is about to stop
}

var _ hostagentv1connect.BuilderHandler = (*builds)(nil)

func (s *builds) StartBuild(_ context.Context, request *connect.Request[pb.StartBuildRequest]) (*connect.Response[pb.StartBuildResponse], error) {
	wanted, err := fromBuild(request.Msg)
	if err == nil {
		err = s.builder.Start(wanted)
	}
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.StartBuildResponse{}), nil
}

// WatchBuild also ends when the agent is about to stop, which waits for requests.
func (s *builds) WatchBuild(ctx context.Context, request *connect.Request[pb.WatchBuildRequest], stream *connect.ServerStream[pb.WatchBuildResponse]) error {
	ctx, release := untilStopping(ctx, s.stopping)
	defer release()
	err := s.builder.Watch(ctx, request.Msg.BuildId, request.Msg.After, build.Watcher{
		Entry:  func(entry buildlog.Entry) error { return stream.Send(toEntry(entry)) },
		Step:   func(state buildlog.StepState) error { return stream.Send(toStepState(state)) },
		Result: func(result build.Result) error { return stream.Send(toResult(result)) },
	})
	switch {
	case ctx.Err() != nil:
		return nil // the watcher has disconnected
	case errors.Is(err, build.ErrNotFound):
		return refuse(err)
	default:
		return err
	}
}

func (s *builds) CancelBuild(ctx context.Context, request *connect.Request[pb.CancelBuildRequest]) (*connect.Response[pb.CancelBuildResponse], error) {
	if err := s.builder.Cancel(ctx, request.Msg.BuildId); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.CancelBuildResponse{}), nil
}

func (s *builds) FindBuildFiles(_ context.Context, request *connect.Request[pb.FindBuildFilesRequest]) (*connect.Response[pb.FindBuildFilesResponse], error) {
	bytes, err := s.uploads.Find(request.Msg.TeamId, request.Msg.Hash)
	if errors.Is(err, archives.ErrNotFound) {
		return connect.NewResponse(&pb.FindBuildFilesResponse{}), nil
	}
	if err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.FindBuildFilesResponse{Present: true, SizeBytes: uint64(bytes)}), nil
}

func (s *builds) PutBuildFiles(_ context.Context, stream *connect.ClientStream[pb.PutBuildFilesRequest]) (*connect.Response[pb.PutBuildFilesResponse], error) {
	if !stream.Receive() {
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, refuse(fmt.Errorf("%w: it is empty", archives.ErrInvalid))
	}
	first := stream.Msg()
	if first.SizeBytes > math.MaxInt64 {
		return nil, refuse(archives.ErrTooLarge)
	}
	content := &chunks{stream: stream, rest: first.Chunk}
	if err := s.uploads.Put(first.TeamId, first.Hash, int64(first.SizeBytes), content); err != nil {
		return nil, refuse(err)
	}
	return connect.NewResponse(&pb.PutBuildFilesResponse{}), nil
}

// readChunk is how much of an upload one message has.
const readChunk = 256 << 10

func (s *builds) ReadBuildFiles(ctx context.Context, request *connect.Request[pb.ReadBuildFilesRequest], stream *connect.ServerStream[pb.ReadBuildFilesResponse]) error {
	ctx, release := untilStopping(ctx, s.stopping)
	defer release()
	bytes, err := s.uploads.Find(request.Msg.TeamId, request.Msg.Hash)
	if errors.Is(err, archives.ErrNotFound) {
		return stream.Send(&pb.ReadBuildFilesResponse{})
	}
	if err != nil {
		return refuse(err)
	}
	content, err := s.uploads.Open(request.Msg.TeamId, request.Msg.Hash)
	if err != nil {
		return refuse(err)
	}
	defer content.Close()
	if err := stream.Send(&pb.ReadBuildFilesResponse{Present: true, SizeBytes: uint64(bytes)}); err != nil {
		return err
	}
	for chunk := make([]byte, readChunk); ctx.Err() == nil; {
		n, err := content.Read(chunk)
		if n > 0 {
			if err := stream.Send(&pb.ReadBuildFilesResponse{Chunk: chunk[:n]}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return refuse(err)
		}
	}
	return nil // the client sees that it is cut
}

// chunks reads the content of an upload's messages.
type chunks struct {
	stream *connect.ClientStream[pb.PutBuildFilesRequest]
	rest   []byte
}

func (c *chunks) Read(buffer []byte) (int, error) {
	for len(c.rest) == 0 {
		if !c.stream.Receive() {
			if err := c.stream.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		c.rest = c.stream.Msg().Chunk
	}
	n := copy(buffer, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

var levels = map[buildlog.Level]pb.BuildLogLevel{
	buildlog.Debug: pb.BuildLogLevel_BUILD_LOG_LEVEL_DEBUG,
	buildlog.Info:  pb.BuildLogLevel_BUILD_LOG_LEVEL_INFO,
	buildlog.Warn:  pb.BuildLogLevel_BUILD_LOG_LEVEL_WARN,
	buildlog.Error: pb.BuildLogLevel_BUILD_LOG_LEVEL_ERROR,
}

func toEntry(entry buildlog.Entry) *pb.WatchBuildResponse {
	return &pb.WatchBuildResponse{Message: &pb.WatchBuildResponse_Entry{Entry: &pb.BuildLogEntry{
		Sequence: entry.Sequence, At: timestamppb.New(entry.At), Level: levels[entry.Level], Step: entry.Step, Text: entry.Text,
	}}}
}

func toStepState(state buildlog.StepState) *pb.WatchBuildResponse {
	sent := &pb.BuildStepState{
		Step: state.Step, BeganAt: timestamppb.New(state.BeganAt), Cached: state.Cached, LayerBytes: uint64(max(state.LayerBytes, 0)),
	}
	if !state.EndedAt.IsZero() {
		sent.EndedAt = timestamppb.New(state.EndedAt)
	}
	return &pb.WatchBuildResponse{Message: &pb.WatchBuildResponse_Step{Step: sent}}
}

var causes = map[build.Cause]pb.BuildFailureCause{
	build.CauseImageNotFound:       pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_NOT_FOUND,
	build.CauseImageUnauthorized:   pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_UNAUTHORIZED,
	build.CauseWrongPlatform:       pb.BuildFailureCause_BUILD_FAILURE_CAUSE_WRONG_PLATFORM,
	build.CauseRegistryUnreachable: pb.BuildFailureCause_BUILD_FAILURE_CAUSE_REGISTRY_UNREACHABLE,
	build.CauseImageInvalid:        pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_INVALID,

	build.CauseNoSpace:       pb.BuildFailureCause_BUILD_FAILURE_CAUSE_NO_SPACE,
	build.CauseOutOfMemory:   pb.BuildFailureCause_BUILD_FAILURE_CAUSE_OUT_OF_MEMORY,
	build.CauseTimedOut:      pb.BuildFailureCause_BUILD_FAILURE_CAUSE_TIMED_OUT,
	build.CauseHashMismatch:  pb.BuildFailureCause_BUILD_FAILURE_CAUSE_HASH_MISMATCH,
	build.CauseFileMissing:   pb.BuildFailureCause_BUILD_FAILURE_CAUSE_FILE_MISSING,
	build.CauseCommandFailed: pb.BuildFailureCause_BUILD_FAILURE_CAUSE_COMMAND_FAILED,
	build.CauseNotReady:      pb.BuildFailureCause_BUILD_FAILURE_CAUSE_NOT_READY,
	build.CauseCancelled:     pb.BuildFailureCause_BUILD_FAILURE_CAUSE_CANCELLED,
	build.CauseBaseNotFound:  pb.BuildFailureCause_BUILD_FAILURE_CAUSE_BASE_NOT_FOUND,
	build.CauseInvalidStep:   pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INVALID_STEP,
	build.CauseBootFailed:    pb.BuildFailureCause_BUILD_FAILURE_CAUSE_BOOT_FAILED,
	build.CauseInternal:      pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INTERNAL,
}

func toResult(result build.Result) *pb.WatchBuildResponse {
	sent := &pb.BuildResult{ImageDigest: result.ImageDigest}
	if failure := result.Failure; failure != nil {
		sent.Outcome = &pb.BuildResult_Failure{Failure: &pb.BuildFailure{
			Cause: causes[failure.Cause], Step: failure.Step, Line: uint32(failure.Line), Command: failure.Command,
			ExitCode: int32(failure.ExitCode), Message: failure.Message, LastLines: failure.LastLines,
		}}
	} else {
		sent.Outcome = &pb.BuildResult_Ready{Ready: toTemplate(result.Ready)}
	}
	return &pb.WatchBuildResponse{Message: &pb.WatchBuildResponse_Result{Result: sent}}
}
