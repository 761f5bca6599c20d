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
	// still sends a body when its answer is complete. One that reads only when it
	// has sent everything gets its answer if it is done by then.
	lingerTime  = 15 * time.Second
	lingerIdle  = 2 * time.Second
	lingerBytes = 64 << 20
	// uploadIdle is lingerIdle for streams of HTTP/2, whose end is seen only then.
	uploadIdle = 500 * time.Millisecond
)

// How a connection is closed.
const (
	endPlain  int32 = iota
	endLinger       // when the client has read the answer
	endReset        // so that the client notices
)

// Listener hands out connections that close as their last answer needs it, and only
// so many to one address.
type Listener struct {
	net.Listener
	caps caps

	mutex     sync.Mutex
	closed    bool
	lingering map[net.Conn]struct{}
	waiters   sync.WaitGroup
}

// NewListener puts a Listener over one that accepts from clients.
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

// Close stops listening, and cuts connections that only wait for their clients.
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

// linger half-closes a connection, and closes it when its client has closed its own
// half. It answers false where there is no time for that any more.
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

// discard reads what a client still sends, until nothing has come for a while.
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
	// release gives back the connection's place among those of its address.
	release func()
}

// CloseWrite is called by net/http before it waits a little and closes.
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
