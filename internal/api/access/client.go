package access

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Clients knows where requests come from.
type Clients struct {
	// TrustedProxies are the networks of proxies in front whose X-Forwarded-For
	// is believed.
	TrustedProxies []netip.Prefix
}

// Address is the address of the client: the peer of the connection or, behind
// proxies that are trusted, the last one that such a proxy has named.
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

// BehindProxy says whether a request comes from a proxy that is trusted, so that
// what it says about its client is believed.
func (c Clients) BehindProxy(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && c.trusts(peer)
}

func (c Clients) trusts(peer string) bool {
	address, err := netip.ParseAddr(peer)
	return err == nil && c.Trusts(address)
}

// Trusts says whether an address is one of a proxy that is trusted.
func (c Clients) Trusts(address netip.Addr) bool {
	for _, network := range c.TrustedProxies {
		if network.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}
