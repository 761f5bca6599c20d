package host

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// PrepareSize returns when sandboxes of a build can be created with a size. Where the host
// has none of that size yet it boots the build, which goes on when ctx ends; told is called
// with what the host does.
func (c *Client) PrepareSize(ctx context.Context, buildID string, size Size, told func(text string)) error {
	doing := fmt.Sprintf("prepare a size of build %s", buildID)
	stream, err := c.rpc.PrepareSize(ctx, connect.NewRequest(&pb.PrepareSizeRequest{BuildId: buildID, Size: toSize(size)}))
	if err != nil {
		return translate(doing, err)
	}
	defer stream.Close()
	for stream.Receive() {
		told(stream.Msg().Text)
	}
	if connect.CodeOf(stream.Err()) == connect.CodeUnimplemented {
		return fault.Wrap(fault.Unsupported, fmt.Errorf("%s: %w", doing, stream.Err()),
			"the agent of the sandbox's host is of an older version that knows no sizes at create; update it")
	}
	return translate(doing, stream.Err())
}
