package forward

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// connections holds the open connections to each sandbox, to close them all when
// the sandbox stops.
type connections struct {
	mutex sync.Mutex
	open  map[string]map[*connection]struct{} // by sandbox ID
}

// connection is a connection to a sandbox, from the start of its dial to its close.
type connection struct {
	net.Conn  // nil while it is dialled
	sandboxID string
	port      uint16
	owner     *connections
	cancel    context.CancelFunc // ends the dial
	http2     bool
	closed    chan struct{}
	closeOnce sync.Once
}

// dialContext is the transports' dial function. It takes the target from the
// context, because a transport passes only a host name.
func (c *connections) dialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	target := targetOf(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn := &connection{
		sandboxID: target.SandboxID, port: target.Port, owner: c, cancel: cancel,
		http2: isMarkedGRPC(ctx), closed: make(chan struct{}),
	}
	c.remember(conn)
	raw, err := target.dial(ctx)
	if !c.keep(conn, raw) {
		if err == nil {
			_ = raw.Close()
		}
		err = errStopped
	}
	if err != nil {
		c.forget(conn)
		return nil, &dialError{cause: err}
	}
	return conn, nil
}

// errStopped is the outcome of a dial during which its sandbox stopped: the address
// may belong to another sandbox by then.
var errStopped = errors.New("the sandbox has stopped")

func (c *connections) remember(conn *connection) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open[conn.sandboxID] == nil {
		c.open[conn.sandboxID] = map[*connection]struct{}{}
	}
	c.open[conn.sandboxID][conn] = struct{}{}
}

// keep stores a dialled connection. It returns false if closeAll ran meanwhile.
func (c *connections) keep(conn *connection, raw net.Conn) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	_, remembered := c.open[conn.sandboxID][conn]
	conn.Conn = raw
	return remembered
}

func (c *connections) forget(conn *connection) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if conns := c.open[conn.sandboxID]; conns != nil {
		delete(conns, conn)
		if len(conns) == 0 {
			delete(c.open, conn.sandboxID)
		}
	}
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
	var dialled []net.Conn
	for conn := range conns {
		conn.cancel()
		if conn.Conn != nil {
			dialled = append(dialled, conn.Conn)
		}
	}
	c.mutex.Unlock()
	for _, conn := range dialled {
		_ = conn.Close()
	}
}

// awaitNone returns when no connection to a port of a sandbox is open, or when ctx
// ends.
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
	wait := time.NewTimer(answerTimeout)
	defer wait.Stop()
	select {
	case <-c.closed:
	case <-wait.C:
	}
	return n, err
}

// Close closes the connection and removes it from its owner.
func (c *connection) Close() error {
	c.owner.forget(c)
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
