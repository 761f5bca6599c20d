package proxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// connections remembers what is open to each sandbox, so that all of it can be
// closed when the sandbox stops.
type connections struct {
	mutex sync.Mutex
	open  map[string]map[*connection]struct{} // by sandbox ID
}

// connection is one connection to a sandbox, forgotten when it is closed.
type connection struct {
	net.Conn
	sandboxID string
	port      uint16
	owner     *connections
}

// dialContext is called by the transports. The target travels in the context,
// because the transports know only a name for it.
func (c *connections) dialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	target := targetOf(ctx)
	raw, err := target.dial(ctx)
	if err != nil {
		return nil, &dialError{cause: err}
	}
	conn := &connection{Conn: raw, sandboxID: target.SandboxID, port: target.Port, owner: c}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open[target.SandboxID] == nil {
		c.open[target.SandboxID] = map[*connection]struct{}{}
	}
	c.open[target.SandboxID][conn] = struct{}{}
	return conn, nil
}

func (t Target) dial(ctx context.Context) (net.Conn, error) {
	if t.Dial != nil {
		return t.Dial(ctx, isMarkedGRPC(ctx))
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, t.Network, t.Address)
}

func (c *connections) closeAll(sandboxID string) {
	c.mutex.Lock()
	conns := c.open[sandboxID]
	delete(c.open, sandboxID)
	c.mutex.Unlock()
	for conn := range conns {
		_ = conn.Conn.Close()
	}
}

// awaitNone returns when no connection to a port of a sandbox is open, or with ctx.
func (c *connections) awaitNone(ctx context.Context, sandboxID string, port uint16) {
	const pollEvery = time.Millisecond
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for c.isOpen(sandboxID, port) {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
}

func (c *connections) isOpen(sandboxID string, port uint16) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for conn := range c.open[sandboxID] {
		if conn.port == port {
			return true
		}
	}
	return false
}

// Close closes the connection and forgets it.
func (c *connection) Close() error {
	c.owner.mutex.Lock()
	if conns := c.owner.open[c.sandboxID]; conns != nil {
		delete(conns, c)
		if len(conns) == 0 {
			delete(c.owner.open, c.sandboxID)
		}
	}
	c.owner.mutex.Unlock()
	return c.Conn.Close()
}

// dialError marks a failure to reach the target at all.
type dialError struct{ cause error }

func (e *dialError) Error() string { return e.cause.Error() }
func (e *dialError) Unwrap() error { return e.cause }

// bufferPool lends the copy buffers of the reverse proxy.
type bufferPool struct{ pool sync.Pool }

// copyBufferSize is large enough that a download costs few system calls.
const copyBufferSize = 64 << 10

func newBufferPool() *bufferPool {
	return &bufferPool{pool: sync.Pool{New: func() any {
		buffer := make([]byte, copyBufferSize)
		return &buffer
	}}}
}

func (p *bufferPool) Get() []byte       { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) Put(buffer []byte) { p.pool.Put(&buffer) }
