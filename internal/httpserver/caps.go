package httpserver

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/inflight"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// Limits bound the connections of a Listener's clients. The zero Limits have no bound.
type Limits struct {
	// PerAddress is how many connections one ratelimit.Network may have at a time; zero is
	// unlimited.
	PerAddress int
	// Exempt reports whether an address is not counted, because many clients share it.
	Exempt func(netip.Addr) bool
}

// refusalTime bounds the write of a refusal to a client with too many connections.
const refusalTime = time.Second

// caps counts the connections of each network.
type caps struct {
	limits Limits
	open   inflight.Counter[string] // by network
}

// take counts a connection, unless its network has the most allowed. release undoes the
// count.
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

// refuseConnection answers a client of HTTP/1 with 429 and closes the connection. The
// write goes into an empty buffer, so that it does not block.
func refuseConnection(raw net.Conn) {
	const body = `{"code":429,"message":"your address has too many connections"}`
	_ = raw.SetWriteDeadline(time.Now().Add(refusalTime))
	_, _ = fmt.Fprintf(raw, "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	_ = raw.Close()
}
