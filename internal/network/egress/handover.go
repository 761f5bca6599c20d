package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
)

// handover is a listener whose connections were accepted elsewhere.
type handover struct {
	connections chan net.Conn
	closed      chan struct{}
	close       func()
}

func newHandover() *handover {
	h := &handover{connections: make(chan net.Conn), closed: make(chan struct{})}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	return h
}

// offer passes a connection to Accept, or closes it if the listener is closed.
func (h *handover) offer(conn net.Conn) {
	select {
	case h.connections <- conn:
	case <-h.closed:
		conn.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.connections:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.close()
	return nil
}

func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }

type originalKey struct{}

// withOriginal adds the original destination of a connection to the context of its
// requests.
func withOriginal(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if opened, ok := conn.(*opening); ok {
		return context.WithValue(ctx, originalKey{}, opened.original)
	}
	return ctx
}

func originalOf(ctx context.Context) netip.AddrPort {
	original, _ := ctx.Value(originalKey{}).(netip.AddrPort)
	return original
}
