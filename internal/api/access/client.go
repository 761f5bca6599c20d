package access

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Clients finds the addresses of requests' clients.
type Clients struct {
	// TrustedProxies are the networks of reverse proxies whose X-Forwarded-For is
	// believed.
	TrustedProxies []netip.Prefix
}

// Address returns the address of the client: that of the connection's peer or, behind
// trusted proxies, the last one in X-Forwarded-For that is not a trusted proxy.
func (c Clients) Address(r *http.Request) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && c.trusts(peer); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = hop.Unmap().String()
	}
	return peer
}

// BehindProxy reports whether the peer of a request's connection is a trusted proxy.
func (c Clients) BehindProxy(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && c.trusts(peer)
}

func (c Clients) trusts(peer string) bool {
	address, err := netip.ParseAddr(peer)
	return err == nil && c.Trusts(address)
}

// Trusts reports whether an address is that of a trusted proxy.
func (c Clients) Trusts(address netip.Addr) bool {
	for _, network := range c.TrustedProxies {
		if network.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}
