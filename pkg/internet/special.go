// Package internet has the list of addresses that are not public, and a dialer that
// refuses them.
//
// There is one list: guests cannot reach its addresses, and the control plane sends no
// request of a user to them.
package internet

import (
	"net/netip"

	"go4.org/netipx"
)

// SpecialIPv4 are the IPv4 networks that are not the public internet: the machine
// itself, private networks, metadata services, multicast and what is reserved.
// Source: the IANA IPv4 special-purpose address registry, but for Documentation.
//
// Metadata services of clouds are in them: 169.254.169.254 (AWS, GCP, Azure,
// OpenStack and others), 169.254.170.2 (AWS, containers), 100.100.100.200 (Alibaba),
// 192.0.0.192 (Oracle), and 168.63.129.16 (Azure), which is in no registry.
var SpecialIPv4 = mustSet(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
)

// SpecialIPv6 are the IPv6 networks that are not the public internet. All outside
// of 2000::/3 is among them: loopback, link-local and unique local addresses (AWS's
// fd00:ec2::254, GCP's fd20:ce::254), NAT64 (64:ff9b::/96, 64:ff9b:1::/48) and
// addresses that map or contain an IPv4 one. So are 6to4 (2002::/16) and Teredo
// (2001::/32), which lead to the IPv4 address they embed.
// Source: the IANA IPv6 special-purpose address registry.
var SpecialIPv6 = mustSet(
	"::/3", "4000::/2", "8000::/1",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// Documentation are the IPv4 networks of examples (RFC 5737). They belong to no machine.
// Guests may connect to them; the control plane does not.
var Documentation = mustSet("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")

// IsPublic returns whether an address is on the public internet.
func IsPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	switch {
	case address.Is4():
		return !SpecialIPv4.Contains(address) && !Documentation.Contains(address)
	case address.Is6():
		return !SpecialIPv6.Contains(address) && !embedsSpecial(address)
	default:
		return false
	}
}

// embedsSpecial returns whether an IPv6 address is an ISATAP one (RFC 5214, section
// 6.1) of a special IPv4 address: its interface identifier is 5efe and that address.
func embedsSpecial(address netip.Addr) bool {
	bytes := address.As16()
	if bytes[8]&^0x02 != 0 || bytes[9] != 0 || bytes[10] != 0x5e || bytes[11] != 0xfe {
		return false
	}
	return SpecialIPv4.Contains(netip.AddrFrom4([4]byte(bytes[12:])))
}

func mustSet(networks ...string) *netipx.IPSet {
	var builder netipx.IPSetBuilder
	for _, network := range networks {
		builder.AddPrefix(netip.MustParsePrefix(network))
	}
	set, err := builder.IPSet()
	if err != nil {
		panic(err) // constants
	}
	return set
}
