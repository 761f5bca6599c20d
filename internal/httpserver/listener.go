package httpserver

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lingerTime, lingerIdle and lingerBytes bound what is read from a client that
	// still sends a body when its answer is complete. A client that reads only after it
	// has sent everything gets the answer if it finishes within them.
	lingerTime  = 15 * time.Second
	lingerIdle  = 2 * time.Second
	lingerBytes = 64 << 20
	// uploadIdle is lingerIdle for HTTP/2 streams, whose end is noticed only after it.
	uploadIdle = 500 * time.Millisecond
)

// How a connection is closed.
const (
	endPlain  int32 = iota
	endLinger       // after the client has closed its half
	endReset        // with a reset
)

// Listener accepts connections that close as their last answer requires, and limits
// the connections of an address.
type Listener struct {
	net.Listener
	caps caps

	mutex     sync.Mutex
	closed    bool
	lingering map[net.Conn]struct{}
	waiters   sync.WaitGroup
}

// NewListener returns a Listener that accepts from another.
func NewListener(listener net.Listener, limits Limits) *Listener {
	return &Listener{Listener: listener, lingering: map[net.Conn]struct{}{}, caps: caps{limits: limits}}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		release, ok := l.caps.take(raw.RemoteAddr())
		if ok {
			return &conn{Conn: raw, owner: l, release: release}, nil
		}
		refuseConnection(raw)
	}
}

// Close stops listening, and closes connections that linger.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.mutex.Lock()
	l.closed = true
	for raw := range l.lingering {
		_ = raw.Close()
	}
	l.mutex.Unlock()
	l.waiters.Wait()
	return err
}

// linger half-closes a connection, and closes it after the client has closed its half.
// It returns false if the Listener is closed.
func (l *Listener) linger(raw net.Conn, release func()) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed {
		return false
	}
	l.lingering[raw] = struct{}{}
	l.waiters.Go(func() {
		closeWrite(raw)
		discard(raw, raw.SetReadDeadline, lingerIdle)
		_ = raw.Close()
		release()
		l.mutex.Lock()
		delete(l.lingering, raw)
		l.mutex.Unlock()
	})
	return true
}

// discard reads what a client sends until nothing has arrived for the time idle.
func discard(from io.Reader, setDeadline func(time.Time) error, idle time.Duration) {
	end, left := time.Now().Add(lingerTime), int64(lingerBytes)
	for left > 0 {
		until := time.Now().Add(idle)
		if until.After(end) {
			until = end
		}
		if setDeadline(until) != nil {
			return
		}
		n, err := io.CopyN(io.Discard, from, min(left, drainBytes))
		if err != nil {
			return
		}
		left -= n
	}
}

func closeWrite(raw net.Conn) {
	if half, can := raw.(interface{ CloseWrite() error }); can {
		_ = half.CloseWrite()
	}
}

// conn is a client's connection.
type conn struct {
	net.Conn
	owner *Listener
	end   atomic.Int32
	once  sync.Once
	err   error // of the close
	// release undoes the count of the connection.
	release func()
}

// CloseWrite is called by net/http, which then waits half a second and closes.
func (c *conn) CloseWrite() error {
	if c.end.Load() == endLinger {
		return c.Close()
	}
	half, can := c.Conn.(interface{ CloseWrite() error })
	if !can {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() {
		switch c.end.Load() {
		case endLinger:
			if c.owner.linger(c.Conn, c.release) {
				return
			}
		case endReset:
			if tcp, is := c.Conn.(*net.TCPConn); is {
				_ = tcp.SetLinger(0)
			}
		}
		c.err = c.Conn.Close()
		c.release()
	})
	return c.err
}
