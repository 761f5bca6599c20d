package host

import (
	"context"
	"crypto/rand"
	"time"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/wait"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

const (
	// repeatFor is how long after the first loss an answer is asked for again: an
	// agent that restarts is back by then.
	repeatFor = 2 * time.Second
	// firstRepeat is doubled each time.
	firstRepeat = 50 * time.Millisecond
)

// repeat calls a host again whose answer was lost, because a connection broke or
// its agent went away: with the same request, by whose ID the host knows what it has
// done already.
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

// newRequestID names a call for the host, however often it is repeated.
func newRequestID() string { return rand.Text() }

// answerLost says that the host has not answered, or only that it is going away.
// Whoever called has not given up.
func answerLost(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && (!connect.IsWireError(err) || refusedAs(err, pb.Reason_REASON_SHUTTING_DOWN))
}
