// Package httpserver makes the answers of HTTP servers reach clients completely, even
// when an answer is written before the request's body has been read. An answer that is
// broken off ends with a connection reset, so that clients notice.
//
// A server needs both a Listener and a Handler around its handler.
package httpserver

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Options configure a Handler.
type Options struct {
	// Stall is how long a body may bring nothing before its answer has begun; then
	// reading it fails with ErrTooSlow. Zero is unlimited.
	Stall time.Duration
}

type bodyKey struct{}

func bodyOf(ctx context.Context) *body {
	b, _ := ctx.Value(bodyKey{}).(*body)
	return b
}

// Handler wraps the handler of a server.
//
// When next answers before it has read the whole body, the rest of the body is
// discarded, unless next has called http.ResponseController.EnableFullDuplex: a short
// rest is read before the answer, so that the connection can be reused; with a long
// rest the answer closes the connection, and the rest is read while the client reads
// the answer.
func Handler(next http.Handler, options Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := connectionOf(r)
		defer resetOnPanic(connection)
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		controller := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			// Without this the server reads from the connection concurrently with body.
			_ = controller.EnableFullDuplex()
		}
		b := newBody(r, controller, options.Stall)
		defer b.stop()
		a := &answer{ResponseWriter: w, controller: controller, body: b, http1: r.ProtoMajor == 1}
		r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
		r.Body = b
		next.ServeHTTP(a, r)
		a.finish(connection)
	})
}

// resetOnPanic makes a connection end with a reset if the handler panics: without a
// Content-Length, a normal close looks like the end of a complete answer.
func resetOnPanic(connection *conn) {
	if reason := recover(); reason != nil {
		if connection != nil {
			connection.end.Store(endReset)
		}
		panic(reason)
	}
}

// Abandon makes the rest of a request's body be discarded although its handler has
// enabled full duplex.
func Abandon(ctx context.Context) {
	if b := bodyOf(ctx); b != nil {
		b.duplex.Store(false)
	}
}

// TooSlow reports whether reading a request's body has failed with ErrTooSlow.
func TooSlow(ctx context.Context) bool {
	b := bodyOf(ctx)
	return b != nil && b.isSlow()
}

// EndBodyWithin bounds the time in which a request's whole body must arrive.
func EndBodyWithin(ctx context.Context, limit time.Duration) {
	if b := bodyOf(ctx); b != nil {
		b.endWithin(limit)
	}
}

// LetBodyLast removes all deadlines of a request's body, for streams that may pause.
func LetBodyLast(ctx context.Context) {
	if b := bodyOf(ctx); b != nil {
		b.removeDeadline()
	}
}

// answer is the response to a request with a body.
type answer struct {
	http.ResponseWriter
	controller *http.ResponseController
	body       *body
	http1      bool
	begun      bool
	status     int
	hijacked   bool
}

// Unwrap implements the interface that http.ResponseController looks for.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// EnableFullDuplex lets the handler read the body after the answer has begun.
func (a *answer) EnableFullDuplex() error {
	a.body.duplex.Store(true)
	return nil
}

// WriteHeader begins the answer, and decides whether the connection is closed after it.
func (a *answer) WriteHeader(status int) {
	final := status >= http.StatusOK || status == http.StatusSwitchingProtocols
	if final && !a.begun {
		a.begun, a.status = true, status
		a.settleBody(status)
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) settleBody(status int) {
	switch {
	case status == http.StatusSwitchingProtocols:
	case a.body.duplex.Load():
		if a.http1 && !a.body.hasEnded() {
			a.Header().Set("Connection", "close")
		}
		a.body.removeDeadline()
	case a.http1 && !a.body.drain():
		a.Header().Set("Connection", "close")
	}
}

// Write writes some of the answer.
func (a *answer) Write(data []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(data)
}

func (a *answer) begin() {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
}

// FlushError sends what was written.
func (a *answer) FlushError() error {
	a.begin()
	return a.controller.Flush()
}

// Flush sends what was written.
func (a *answer) Flush() { _ = a.FlushError() }

// finish is called when the handler has returned.
func (a *answer) finish(connection *conn) {
	if a.hijacked {
		return
	}
	a.begin()
	a.body.stop()
	if !a.http1 {
		a.takeUpload()
		return
	}
	if a.body.hasEnded() {
		return
	}
	// net/http writes the rest of the answer, then reads the rest of the body, then
	// closes. The deadline prevents that read; the Listener reads the rest instead.
	if connection != nil {
		connection.end.CompareAndSwap(endPlain, endLinger)
		_ = a.controller.SetReadDeadline(past)
	}
}

// takeUpload reads and discards the rest of an HTTP/2 body of known length that was
// refused. The stream ends with its handler, and clients such as curl do not show an
// answer whose stream is reset while they send.
func (a *answer) takeUpload() {
	if a.status < http.StatusBadRequest || !a.body.isUpload() {
		return
	}
	_ = a.controller.Flush()
	if a.body.awaitReader(uploadIdle) {
		discard(a.body.source, a.controller.SetReadDeadline, uploadIdle)
	}
}

type connectionKey struct{}

// ConnContext is for http.Server.ConnContext. Handler needs it to find the connection of
// a request.
func ConnContext(ctx context.Context, connection net.Conn) context.Context {
	if wrapper, wraps := connection.(interface{ NetConn() net.Conn }); wraps {
		connection = wrapper.NetConn() // of TLS
	}
	if own, is := connection.(*conn); is {
		return context.WithValue(ctx, connectionKey{}, own)
	}
	return ctx
}

// connectionOf returns nil for HTTP/2, where a stream ends without its connection.
func connectionOf(r *http.Request) *conn {
	if r.ProtoMajor != 1 {
		return nil
	}
	connection, _ := r.Context().Value(connectionKey{}).(*conn)
	return connection
}
