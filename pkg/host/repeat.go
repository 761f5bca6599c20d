package host

import (
	"context"
	"crypto/rand"
	"time"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// repeatFor is how long after the first lost answer a call is repeated: an agent takes
	// less time to restart.
	repeatFor = 2 * time.Second
	// firstRepeat is doubled each time.
	firstRepeat = 50 * time.Millisecond
)

// repeat sends a request again whose answer was lost because a connection broke or the
// agent has ended. By the request's ID the host finds what it has done already.
func repeat[Q, A any](
	ctx context.Context, call func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), message *Q,
) (*connect.Response[A], error) {
	response, err := call(ctx, connect.NewRequest(message))
	for lost, delay := time.Now(), firstRepeat; answerLost(ctx, err) && time.Since(lost)+delay < repeatFor; delay *= 2 {
		if !wait.For(ctx, delay) {
			return nil, err
		}
		response, err = call(ctx, connect.NewRequest(message))
	}
	return response, err
}

// sendRequest sends the ID and team of the request for which a host is called along,
// for its log.
var sendRequest = connect.WithInterceptors(requestlog.NewInterceptor(nil))

// newRequestID returns the ID of a request, which stays the same when it is repeated.
func newRequestID() string { return rand.Text() }

// answerLost reports whether the host has not answered, or only that it shuts down, and
// the caller still waits.
func answerLost(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && (!connect.IsWireError(err) || refusedAs(err, pb.Reason_REASON_SHUTTING_DOWN))
}
