package forward

import (
	"context"
	"net"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/conntrack"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// guestPort is one port of one sandbox.
type guestPort struct {
	sandboxID string
	port      uint16
}

// connections are the open connections to guests.
type connections struct {
	tracker conntrack.Tracker[guestPort]
}

// connection is a connection to a guest.
type connection struct {
	net.Conn
	http2     bool
	closed    chan struct{}
	closeOnce sync.Once
}

// dialContext is the transports' dial function. It takes the target from the context,
// because a transport passes only a host name.
func (c *connections) dialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	target := targetOf(ctx)
	tracked, err := c.tracker.Dial(ctx, guestPort{target.SandboxID, target.Port}, target.dial)
	if err != nil {
		return nil, &dialError{cause: err}
	}
	return &connection{Conn: tracked, http2: isMarkedGRPC(ctx), closed: make(chan struct{})}, nil
}

func (t Target) dial(ctx context.Context) (net.Conn, error) {
	if t.Dial != nil {
		return t.Dial(ctx, isMarkedGRPC(ctx))
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, t.Network, t.Address)
}

func (c *connections) closeAll(sandboxID string) {
	c.tracker.CloseWhere(func(guest guestPort) bool { return guest.sandboxID == sandboxID })
}

// awaitNone returns when no connection to a port of a sandbox is open, or when ctx
// ends.
func (c *connections) awaitNone(ctx context.Context, sandboxID string, port uint16) {
	const pollEvery = time.Millisecond
	for c.tracker.IsOpen(guestPort{sandboxID, port}) && wait.For(ctx, pollEvery) {
	}
}

// answerTimeout is how long a failed write waits for the peer's answer to be read.
const answerTimeout = 5 * time.Second

// Write sends a part of a request. A peer that answers before it has read the whole
// request may close its side; the write then fails although the answer can be read.
// The transport reports the write's error unless it has read the answer first, so a
// failed write returns only after the transport has closed the connection.
func (c *connection) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	if err == nil || c.http2 {
		return n, err
	}
	patience := time.NewTimer(answerTimeout)
	defer patience.Stop()
	select {
	case <-c.closed:
	case <-patience.C:
	}
	return n, err
}

// Close closes the connection.
func (c *connection) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// dialError marks a failure to connect to the target.
type dialError struct{ cause error }

func (e *dialError) Error() string { return e.cause.Error() }
func (e *dialError) Unwrap() error { return e.cause }

// bufferPool holds the reverse proxy's copy buffers.
type bufferPool struct{ pool sync.Pool }

// copyBufferSize, in bytes, keeps the number of system calls of a download low.
const copyBufferSize = 64 << 10

func newBufferPool() *bufferPool {
	return &bufferPool{pool: sync.Pool{New: func() any {
		buffer := make([]byte, copyBufferSize)
		return &buffer
	}}}
}

func (p *bufferPool) Get() []byte       { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) Put(buffer []byte) { p.pool.Put(&buffer) }
