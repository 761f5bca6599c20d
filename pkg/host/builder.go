package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// uploadChunk is how much of an upload one message has.
const uploadChunk = 256 << 10

// StartBuild starts a build. It changes nothing if the build runs or is ready.
func (c *Client) StartBuild(ctx context.Context, start build.Start) error {
	_, err := repeat(ctx, c.builder.StartBuild, toStartBuild(start))
	return translateBuild("start build "+start.BuildID, err)
}

// WatchBuild calls told for each entry of a build's log after a sequence, and with its
// result. It returns NotFound for a build that the host does not know, and nil when the
// result was told or the agent shuts down.
func (c *Client) WatchBuild(ctx context.Context, buildID string, after int64, told func(build.Update) error) error {
	doing := "watch build " + buildID
	stream, err := c.builder.WatchBuild(ctx, connect.NewRequest(&pb.WatchBuildRequest{BuildId: buildID, After: uint64(after)}))
	if err != nil {
		return translateBuild(doing, err)
	}
	defer stream.Close()
	for stream.Receive() {
		update, known := fromBuildMessage(stream.Msg())
		if !known {
			continue
		}
		if err := told(update); err != nil {
			return err
		}
	}
	return translateBuild(doing, stream.Err())
}

// CancelBuild ends a build and returns when its VM has ended. It succeeds also for a build
// that has ended or is not known.
func (c *Client) CancelBuild(ctx context.Context, buildID string) error {
	_, err := c.builder.CancelBuild(ctx, connect.NewRequest(&pb.CancelBuildRequest{BuildId: buildID}))
	return translateBuild("cancel build "+buildID, err)
}

// HasBuildFiles reports whether the host has an upload of a team.
func (c *Client) HasBuildFiles(ctx context.Context, teamID, hash string) (bool, error) {
	response, err := c.builder.FindBuildFiles(ctx, connect.NewRequest(&pb.FindBuildFilesRequest{TeamId: teamID, Hash: hash}))
	if err != nil {
		return false, translateBuild("look for files of a build", err)
	}
	return response.Msg.Present, nil
}

// PutBuildFiles sends an upload to the host, which has stored it when this returns. The
// content is not kept in memory. Content that is shorter or longer than size is refused.
func (c *Client) PutBuildFiles(ctx context.Context, teamID, hash string, size int64, content io.Reader) error {
	const doing = "upload files of a build"
	ctx, cancel := context.WithCancel(ctx) // ends the stream where the content fails
	defer cancel()
	stream := c.builder.PutBuildFiles(ctx)
	chunk := make([]byte, uploadChunk)
	first := &pb.PutBuildFilesRequest{TeamId: teamID, Hash: hash, SizeBytes: uint64(size)}
	for sent := int64(0); ; {
		read, err := io.ReadFull(content, chunk)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return fmt.Errorf("%s: read: %w", doing, err)
		}
		if sent += int64(read); sent > size || ended && sent < size {
			return fault.New(fault.Invalid, "the body has another size than the Content-Length says")
		}
		message := &pb.PutBuildFilesRequest{Chunk: chunk[:read]}
		if first != nil {
			first.Chunk, message, first = chunk[:read], first, nil
		}
		if err := stream.Send(message); err != nil {
			break // the answer says why
		}
		if ended {
			break
		}
	}
	_, err := stream.CloseAndReceive()
	if refusedAs(err, pb.Reason_REASON_INVALID_REQUEST) {
		message := cmp.Or(refusalOf(err).GetExplanation(), "the host does not take the upload")
		return fault.Wrap(fault.Invalid, fmt.Errorf("%s: %w", doing, err), "%s", message)
	}
	return translateBuild(doing, err)
}

// ReadBuildFiles returns an upload that the host has, and its size. Reading fails where the
// host does not send it whole. It returns fault.NotFound where the host does not have it.
func (c *Client) ReadBuildFiles(ctx context.Context, teamID, hash string) (content io.ReadCloser, size int64, err error) {
	const doing = "read uploaded files of a build"
	stream, err := c.builder.ReadBuildFiles(ctx, connect.NewRequest(&pb.ReadBuildFilesRequest{TeamId: teamID, Hash: hash}))
	if err != nil {
		return nil, 0, translateBuild(doing, err)
	}
	if !stream.Receive() {
		err := stream.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, errors.Join(translateBuild(doing, err), stream.Close())
	}
	first := stream.Msg()
	if !first.GetPresent() || first.GetSizeBytes() > math.MaxInt64 {
		return nil, 0, errors.Join(fault.New(fault.NotFound, "the host does not have the uploaded files"), stream.Close())
	}
	size = int64(first.GetSizeBytes())
	return &uploadReader{stream: stream, left: size}, size, nil
}

// uploadReader reads the content of an upload's messages.
type uploadReader struct {
	stream *connect.ServerStreamForClient[pb.ReadBuildFilesResponse]
	rest   []byte
	left   int64
}

// Read ends with io.EOF when the upload was read whole.
func (r *uploadReader) Read(buffer []byte) (int, error) {
	for len(r.rest) == 0 {
		if !r.stream.Receive() {
			switch err := r.stream.Err(); {
			case err != nil:
				return 0, translateBuild("read uploaded files of a build", err)
			case r.left > 0:
				return 0, fault.Wrap(fault.Unavailable, io.ErrUnexpectedEOF, "the host has stopped to send uploaded files")
			default:
				return 0, io.EOF
			}
		}
		r.rest = r.stream.Msg().GetChunk()
	}
	n := copy(buffer, r.rest)
	r.rest, r.left = r.rest[n:], r.left-int64(n)
	return n, nil
}

// Close ends the stream.
func (r *uploadReader) Close() error { return r.stream.Close() }

// translateBuild is translate for the service of builds, which older agents do not have.
func translateBuild(doing string, err error) error {
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return fault.Wrap(fault.Unsupported, fmt.Errorf("%s: %w", doing, err),
			"the agent of the build's host is of an older version that cannot build templates; update it")
	}
	return translate(doing, err)
}
