// Package httpserver makes answers of HTTP servers arrive whole: also those that
// are given before the request's body was read, and it never lets an answer that
// was broken off look like a whole one.
//
// A server needs both parts: a Listener under it, and Handler around its handler.
package httpserver

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Options are what a server allows its clients.
type Options struct {
	// Stall ends a body of which nothing has come for so long, before its answer
	// has begun; zero waits without end.
	Stall time.Duration
}

type bodyKey struct{}

func bodyOf(ctx context.Context) *body {
	b, _ := ctx.Value(bodyKey{}).(*body)
	return b
}

// Handler stands around all that a server answers.
//
// A handler that answers before it has read the body wants no more of it, unless it
// has called http.ResponseController.EnableFullDuplex: a short rest is read here,
// so that the connection can go on; before a long one the answer says that the
// connection ends, and what still comes is thrown away while the client reads.
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
			// The server would read from the connection beside the body's reader.
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

// resetOnPanic has a connection end with a reset where the answer was broken off:
// a plain end looks like the end of an answer without a length.
func resetOnPanic(connection *conn) {
	if reason := recover(); reason != nil {
		if connection != nil {
			connection.end.Store(endReset)
		}
		panic(reason)
	}
}

// Abandon says that what is left of a request's body is not wanted after all,
// though its handler has enabled full duplex.
func Abandon(ctx context.Context) {
	if b := bodyOf(ctx); b != nil {
		b.duplex.Store(false)
	}
}

// TooSlow says whether a request's body was given up because it came too slowly.
func TooSlow(ctx context.Context) bool {
	b := bodyOf(ctx)
	return b != nil && b.isSlow()
}

// EndBodyWithin bounds how long a request's body may take in all.
func EndBodyWithin(ctx context.Context, limit time.Duration) {
	if b := bodyOf(ctx); b != nil {
		b.endWithin(limit)
	}
}

// LetBodyLast takes every deadline off a request's body: a stream of messages may pause.
func LetBodyLast(ctx context.Context) {
	if b := bodyOf(ctx); b != nil {
		b.waitWithoutEnd()
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

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// EnableFullDuplex leaves the body to the handler after the answer has begun.
func (a *answer) EnableFullDuplex() error {
	a.body.duplex.Store(true)
	return nil
}

// WriteHeader begins the answer, and decides what becomes of the connection.
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
		a.body.waitWithoutEnd()
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
	// The server now writes the rest of the answer, and would then read the rest of
	// the body before it closes. The deadline stops that; the Listener reads the rest.
	if connection != nil {
		connection.end.CompareAndSwap(endPlain, endLinger)
		_ = a.controller.SetReadDeadline(past)
	}
}

// takeUpload throws away what still comes of a body that is refused and of a known
// length. A stream of HTTP/2 ends with its handler, and clients such as curl lose a
// refusal whose stream is reset while they send.
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

// ConnContext is for http.Server: it lets Handler know the connection of a request.
func ConnContext(ctx context.Context, connection net.Conn) context.Context {
	if wrapper, wraps := connection.(interface{ NetConn() net.Conn }); wraps {
		connection = wrapper.NetConn() // of TLS
	}
	if own, is := connection.(*conn); is {
		return context.WithValue(ctx, connectionKey{}, own)
	}
	return ctx
}

// connectionOf is nil for HTTP/2, whose streams end alone.
func connectionOf(r *http.Request) *conn {
	if r.ProtoMajor != 1 {
		return nil
	}
	connection, _ := r.Context().Value(connectionKey{}).(*conn)
	return connection
}
