package egress

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

const (
	// maxConnections bounds what one guest may have open through the proxy.
	maxConnections = 512
	// acceptPause is how long to wait when the process is out of descriptors.
	acceptPause = 50 * time.Millisecond
)

// proxy accepts the guest's redirected TCP connections, finds the destination of each,
// and connects or refuses it.
type proxy struct {
	flows    *flows
	original func(*net.TCPConn) (netip.AddrPort, error)
	requests *requests
	patience time.Duration
	log      *slog.Logger
	notices  *notice.Notices
	turns    chan struct{}
}

// serve accepts until ctx ends, then ends every connection and waits.
func (p *proxy) serve(ctx context.Context, listener *net.TCPListener) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { p.requests.serve(ctx) })
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for ctx.Err() == nil {
		conn, err := listener.AcceptTCP()
		if err == nil {
			if opened, room := p.admit(conn); room {
				tasks.Go(func() { p.handle(ctx, opened) })
			}
			continue
		}
		if ctx.Err() == nil {
			p.log.ErrorContext(ctx, "accept the guest's connection", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(acceptPause):
		}
	}
}

// admit takes one of maxConnections places for a connection, until it is closed.
func (p *proxy) admit(conn *net.TCPConn) (opened *opening, room bool) {
	opened = &opening{TCPConn: conn, done: func() {}}
	select {
	case p.turns <- struct{}{}:
		opened.done = sync.OnceFunc(func() { <-p.turns })
		return opened, true
	default:
		p.notices.Warn("the guest has too many connections to its gateway")
		opened.refuse()
		return nil, false
	}
}

// handle closes the connection, or hands it over to what does.
func (p *proxy) handle(ctx context.Context, opened *opening) {
	defer context.AfterFunc(ctx, func() { opened.TCPConn.Close() })()
	err := p.open(ctx, opened)
	if err != nil {
		p.log.DebugContext(ctx, "connect the guest", "destination", opened.original, "error", err)
		opened.refuse()
	}
}

func (p *proxy) open(ctx context.Context, opened *opening) (err error) {
	if opened.original, err = p.original(opened.TCPConn); err != nil {
		return err
	}
	policy := p.flows.current()
	if policy.looksInto(opened.original) {
		if err := opened.look(ctx, p.patience); err != nil {
			return err
		}
		policy = p.flows.current() // it may have changed since
	}
	name, _ := normaliseDomain(opened.serverName)
	_, ruled := policy.transformFor(name)
	switch {
	case opened.protocol == protocolHTTP:
		p.requests.take(opened)
		return nil
	case ruled:
		p.requests.takeTLS(opened, policy.authority)
		return nil
	}
	host, err := destination(policy, name, opened.original.Addr())
	if err != nil {
		return err
	}
	out, err := p.flows.connect(ctx, policy, host, opened.original)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, out.cut)()
	join(opened, out)
	return nil
}

// join copies in both directions, forwards the end of each, and closes both connections
// when both directions have ended or one has failed.
func join(guest *opening, out *flow) {
	var copying sync.WaitGroup
	copying.Go(func() {
		if _, err := io.Copy(out, guest); err != nil {
			out.cut()
			return
		}
		_ = out.CloseWrite() // fails if the other side has closed it, which ends the other copy
	})
	if _, err := io.Copy(guest, out); err != nil {
		guest.refuse()
	} else {
		_ = guest.CloseWrite()
	}
	copying.Wait()
	for _, end := range []net.Conn{guest, out} {
		end.Close()
	}
}
