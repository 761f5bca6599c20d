package requestlog

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
)

// interceptor carries requests across Connect's calls.
type interceptor struct{ log *slog.Logger }

// NewInterceptor returns an interceptor that sends a context's request along with each
// call, and on the other side begins it there and logs the call. log is not used by
// clients.
func NewInterceptor(log *slog.Logger) connect.Interceptor { return interceptor{log} }

// Send sets the headers that carry a context's request.
func Send(ctx context.Context, header http.Header) {
	r := of(ctx)
	if r == nil {
		return
	}
	header.Set(Header, r.id)
	if team, _ := r.fields(); team != "" {
		header.Set(teamHeader, team)
	}
}

// receive begins the request that headers carry.
func receive(ctx context.Context, header http.Header) context.Context {
	id := header.Get(Header)
	if !IsID(id) {
		id = NewID()
	}
	ctx = Begin(ctx, id)
	SetTeam(ctx, header.Get(teamHeader))
	return ctx
}

// WrapUnary implements connect.Interceptor.
func (i interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, call connect.AnyRequest) (connect.AnyResponse, error) {
		if call.Spec().IsClient {
			Send(ctx, call.Header())
			return next(ctx, call)
		}
		ctx = receive(ctx, call.Header())
		if of, is := call.Any().(interface{ GetSandboxId() string }); is {
			SetSandbox(ctx, of.GetSandboxId())
		}
		began := time.Now()
		answer, err := next(ctx, call)
		attrs := []any{"procedure", call.Spec().Procedure, "took", time.Since(began)}
		if err != nil {
			attrs = append(attrs, "error", err)
		}
		i.log.DebugContext(ctx, "call answered", attrs...)
		return answer, err
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (i interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		Send(ctx, conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (i interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return next(receive(ctx, conn.RequestHeader()), conn)
	}
}
