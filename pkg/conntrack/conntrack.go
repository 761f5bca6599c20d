// Package conntrack holds the connections that a program has dialled, so that all those
// to one peer can be closed at once.
package conntrack

import (
	"context"
	"net"
	"sync"
)

// Tracker dials connections and holds them by key until they are closed. The zero
// Tracker holds none. It may be used by several goroutines.
type Tracker[K comparable] struct {
	mutex  sync.Mutex
	open   map[K]map[*connection[K]]struct{}
	closed bool
}

// connection is a connection from the start of its dial to its close.
type connection[K comparable] struct {
	net.Conn // nil while it is dialled
	tracker  *Tracker[K]
	key      K
	cancel   context.CancelFunc // ends the dial
}

// Dial opens a connection and holds it under a key. It returns net.ErrClosed if the
// key's connections, or the tracker, are closed during the dial: the address may belong
// to another peer by then.
func (t *Tracker[K]) Dial(ctx context.Context, key K, dial func(ctx context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn := &connection[K]{tracker: t, key: key, cancel: cancel}
	if !t.hold(conn) {
		return nil, net.ErrClosed
	}
	raw, err := dial(ctx)
	if !t.keep(conn, raw) {
		if err == nil {
			_ = raw.Close()
		}
		return nil, net.ErrClosed
	}
	if err != nil {
		t.forget(conn)
		return nil, err
	}
	return conn, nil
}

// Close closes the connection, which its tracker no longer holds.
func (c *connection[K]) Close() error {
	c.tracker.forget(c)
	return c.Conn.Close()
}

// IsOpen reports whether a connection is open or dialled under a key.
func (t *Tracker[K]) IsOpen(key K) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return len(t.open[key]) > 0
}

// CloseWhere closes the connections under every key that matches, and ends their dials.
func (t *Tracker[K]) CloseWhere(matches func(key K) bool) {
	t.mutex.Lock()
	dialled := t.take(matches)
	t.mutex.Unlock()
	for _, conn := range dialled {
		_ = conn.Close()
	}
}

// Close closes all connections, and every later Dial fails.
func (t *Tracker[K]) Close() {
	t.mutex.Lock()
	t.closed = true
	dialled := t.take(func(K) bool { return true })
	t.mutex.Unlock()
	for _, conn := range dialled {
		_ = conn.Close()
	}
}

// take removes the connections under matching keys, ends the dials among them, and
// returns the others. The mutex is held.
func (t *Tracker[K]) take(matches func(key K) bool) []net.Conn {
	var dialled []net.Conn
	for key, conns := range t.open {
		if !matches(key) {
			continue
		}
		delete(t.open, key)
		for conn := range conns {
			conn.cancel()
			if conn.Conn != nil {
				dialled = append(dialled, conn.Conn)
			}
		}
	}
	return dialled
}

// hold holds a connection that is about to be dialled, unless the tracker is closed.
func (t *Tracker[K]) hold(conn *connection[K]) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.closed {
		return false
	}
	if t.open == nil {
		t.open = map[K]map[*connection[K]]struct{}{}
	}
	if t.open[conn.key] == nil {
		t.open[conn.key] = map[*connection[K]]struct{}{}
	}
	t.open[conn.key][conn] = struct{}{}
	return true
}

// keep stores a dialled connection. It returns false if the connection was closed during
// the dial.
func (t *Tracker[K]) keep(conn *connection[K], raw net.Conn) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	_, held := t.open[conn.key][conn]
	conn.Conn = raw
	return held
}

func (t *Tracker[K]) forget(conn *connection[K]) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.open[conn.key], conn)
	if len(t.open[conn.key]) == 0 {
		delete(t.open, conn.key)
	}
}
