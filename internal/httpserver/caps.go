package httpserver

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/inflight"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// Limits are what a Listener allows its clients; the zero Limits allow anything.
type Limits struct {
	// PerAddress is how many connections one ratelimit.Network may have at a time. Zero
	// is any number.
	PerAddress int
	// Exempt says which addresses are not counted, because many clients share them.
	Exempt func(netip.Addr) bool
}

// refusalTime is how long a client that has too many connections may take to read
// that.
const refusalTime = time.Second

// caps counts the connections of each address.
type caps struct {
	limits Limits
	open   inflight.Counter[string] // by network
}

// take counts a connection in, unless its address has enough. Release counts it
// out.
func (c *caps) take(from net.Addr) (release func(), ok bool) {
	tcp, is := from.(*net.TCPAddr)
	if !is || c.limits.PerAddress == 0 {
		return func() {}, true
	}
	address := tcp.AddrPort().Addr().Unmap()
	if c.limits.Exempt != nil && c.limits.Exempt(address) {
		return func() {}, true
	}
	network := ratelimit.Network(address.String())
	if !c.open.Take(network, c.limits.PerAddress) {
		return nil, false
	}
	return func() { c.open.GiveBack(network) }, true
}

// refuseConnection tells a client of HTTP/1 why it is not served; it costs one
// write into an empty buffer.
func refuseConnection(raw net.Conn) {
	const body = `{"code":429,"message":"your address has too many connections"}`
	_ = raw.SetWriteDeadline(time.Now().Add(refusalTime))
	_, _ = fmt.Fprintf(raw, "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	_ = raw.Close()
}
