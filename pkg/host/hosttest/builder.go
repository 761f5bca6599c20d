package hosttest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// Builder has the builds of an agent. A build does nothing by itself: a test writes its log
// and ends it.
type Builder struct {
	hostagentv1connect.UnimplementedBuilderHandler

	mutex   sync.Mutex
	changed sync.Cond // of mutex
	builds  map[string]*buildRecord
	uploads map[string][]byte // by team, a slash and hash
	starts  int
	// refuse is the error of the next starts; nil for none.
	refuse error
	// old makes the agent one that has no builds, and cut one that sends half of an upload.
	old, cut bool
}

type buildRecord struct {
	request *pb.StartBuildRequest
	entries []*pb.BuildLogEntry
	result  *pb.BuildResult // nil while it runs
}

func newBuilder() *Builder {
	b := &Builder{builds: map[string]*buildRecord{}, uploads: map[string][]byte{}}
	b.changed.L = &b.mutex
	return b
}

// BeOld makes the agent one of a version without builds.
func (b *Builder) BeOld() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.old = true
}

// CutUploads makes the agent send half of each upload.
func (b *Builder) CutUploads() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.cut = true
}

func (b *Builder) handler() (string, http.Handler) {
	pattern, handler := hostagentv1connect.NewBuilderHandler(b)
	return pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mutex.Lock()
		old := b.old
		b.mutex.Unlock()
		if old {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// Refuse makes starts of builds fail, until it is called with nil.
func (b *Builder) Refuse(err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.refuse = err
}

// Starts returns how many builds were started, again or not.
func (b *Builder) Starts() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.starts
}

// Request returns the request that started a build; nil where there is none.
func (b *Builder) Request(buildID string) *pb.StartBuildRequest {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if record := b.builds[buildID]; record != nil {
		return record.request
	}
	return nil
}

// Cancelled reports whether a build was cancelled.
func (b *Builder) Cancelled(buildID string) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	record := b.builds[buildID]
	return record != nil && record.result.GetFailure().GetCause() == pb.BuildFailureCause_BUILD_FAILURE_CAUSE_CANCELLED
}

// Upload returns what was uploaded for a team under a hash.
func (b *Builder) Upload(teamID, hash string) ([]byte, bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	content, has := b.uploads[teamID+"/"+hash]
	return content, has
}

// Say writes entries of level info to the log of a build that runs.
func (b *Builder) Say(buildID, step string, texts ...string) {
	b.SayAt(buildID, pb.BuildLogLevel_BUILD_LOG_LEVEL_INFO, step, texts...)
}

// SayAt writes entries of a level to the log of a build that runs.
func (b *Builder) SayAt(buildID string, level pb.BuildLogLevel, step string, texts ...string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	record := b.builds[buildID]
	if record == nil {
		return
	}
	for _, text := range texts {
		record.entries = append(record.entries, &pb.BuildLogEntry{
			Sequence: uint64(len(record.entries) + 1), At: timestamppb.New(time.Now()), Level: level, Step: step, Text: text,
		})
	}
	b.changed.Broadcast()
}

// Finish makes a build ready.
func (b *Builder) Finish(buildID string) {
	b.end(buildID, &pb.BuildResult{Outcome: &pb.BuildResult_Ready{Ready: &pb.Template{
		BuildId: buildID, VcpuCount: 2, MemoryMib: 1024, DiskMib: 4096, EnvdVersion: EnvdVersion,
	}}})
}

// Fail ends a build with a failure.
func (b *Builder) Fail(buildID string, failure *pb.BuildFailure) {
	b.end(buildID, &pb.BuildResult{Outcome: &pb.BuildResult_Failure{Failure: failure}})
}

func (b *Builder) end(buildID string, result *pb.BuildResult) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if record := b.builds[buildID]; record != nil && record.result == nil {
		record.result = result
	}
	b.changed.Broadcast()
}

// Restart forgets all builds, as an agent does that is restarted. Uploads stay.
func (b *Builder) Restart() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	clear(b.builds)
	b.changed.Broadcast()
}

// StartBuild implements the service.
func (b *Builder) StartBuild(_ context.Context, request *connect.Request[pb.StartBuildRequest]) (*connect.Response[pb.StartBuildResponse], error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.refuse != nil {
		return nil, b.refuse
	}
	record := b.builds[request.Msg.BuildId]
	if record == nil || record.result.GetFailure() != nil {
		b.starts++
		b.builds[request.Msg.BuildId] = &buildRecord{request: request.Msg}
		b.changed.Broadcast()
	}
	return connect.NewResponse(&pb.StartBuildResponse{}), nil
}

// WatchBuild implements the service.
func (b *Builder) WatchBuild(ctx context.Context, request *connect.Request[pb.WatchBuildRequest], stream *connect.ServerStream[pb.WatchBuildResponse]) error {
	stop := context.AfterFunc(ctx, func() {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		b.changed.Broadcast()
	})
	defer stop()
	for sent := int(request.Msg.After); ; {
		entries, result, err := b.next(ctx, request.Msg.BuildId, sent)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := stream.Send(&pb.WatchBuildResponse{Message: &pb.WatchBuildResponse_Entry{Entry: entry}}); err != nil {
				return err
			}
		}
		if sent += len(entries); result != nil {
			return stream.Send(&pb.WatchBuildResponse{Message: &pb.WatchBuildResponse_Result{Result: result}})
		}
	}
}

// next waits for what comes after some entries of a build.
func (b *Builder) next(ctx context.Context, buildID string, sent int) ([]*pb.BuildLogEntry, *pb.BuildResult, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for ctx.Err() == nil {
		record := b.builds[buildID]
		switch {
		case record == nil:
			return nil, nil, host.Refuse(pb.Reason_REASON_BUILD_NOT_FOUND, "", errors.New("no such build"))
		case len(record.entries) > sent || record.result != nil:
			return slices.Clone(record.entries[min(sent, len(record.entries)):]), record.result, nil
		}
		b.changed.Wait()
	}
	return nil, nil, ctx.Err()
}

// CancelBuild implements the service.
func (b *Builder) CancelBuild(_ context.Context, request *connect.Request[pb.CancelBuildRequest]) (*connect.Response[pb.CancelBuildResponse], error) {
	b.Fail(request.Msg.BuildId, &pb.BuildFailure{
		Cause: pb.BuildFailureCause_BUILD_FAILURE_CAUSE_CANCELLED, Message: "the build was cancelled",
	})
	return connect.NewResponse(&pb.CancelBuildResponse{}), nil
}

// FindBuildFiles implements the service.
func (b *Builder) FindBuildFiles(_ context.Context, request *connect.Request[pb.FindBuildFilesRequest]) (*connect.Response[pb.FindBuildFilesResponse], error) {
	content, has := b.Upload(request.Msg.TeamId, request.Msg.Hash)
	return connect.NewResponse(&pb.FindBuildFilesResponse{Present: has, SizeBytes: uint64(len(content))}), nil
}

// PutBuildFiles implements the service.
func (b *Builder) PutBuildFiles(_ context.Context, stream *connect.ClientStream[pb.PutBuildFilesRequest]) (*connect.Response[pb.PutBuildFilesResponse], error) {
	var first *pb.PutBuildFilesRequest
	var content []byte
	for stream.Receive() {
		if first == nil {
			first = stream.Msg()
		}
		content = append(content, stream.Msg().Chunk...)
	}
	switch {
	case stream.Err() != nil:
		return nil, stream.Err()
	case first == nil || uint64(len(content)) != first.SizeBytes:
		return nil, host.Refuse(pb.Reason_REASON_INVALID_REQUEST, "the upload is incomplete", errors.New("incomplete"))
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.uploads[first.TeamId+"/"+first.Hash] = content
	return connect.NewResponse(&pb.PutBuildFilesResponse{}), nil
}

// ReadBuildFiles implements the service.
func (b *Builder) ReadBuildFiles(_ context.Context, request *connect.Request[pb.ReadBuildFilesRequest], stream *connect.ServerStream[pb.ReadBuildFilesResponse]) error {
	content, has := b.Upload(request.Msg.TeamId, request.Msg.Hash)
	if err := stream.Send(&pb.ReadBuildFilesResponse{Present: has, SizeBytes: uint64(len(content))}); err != nil || !has {
		return err
	}
	b.mutex.Lock()
	if b.cut {
		content = content[:len(content)/2]
	}
	b.mutex.Unlock()
	for len(content) > 0 {
		chunk := content[:min(len(content), 1000)]
		if err := stream.Send(&pb.ReadBuildFilesResponse{Chunk: chunk}); err != nil {
			return err
		}
		content = content[len(chunk):]
	}
	return nil
}
