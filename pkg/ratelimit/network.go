package ratelimit

import "net/netip"

// customerBits is the length of the IPv6 prefix that providers give to one customer.
const customerBits = 64

// Network returns what requests of an address are counted by: an IPv4 address itself,
// the /64 network of an IPv6 address, and any other text as it is.
func Network(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Unmap().Is4() {
		return address
	}
	network, err := parsed.WithZone("").Prefix(customerBits)
	if err != nil {
		return address
	}
	return network.String()
}
