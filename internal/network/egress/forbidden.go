package egress

import (
	"net/netip"

	"go4.org/netipx"
)

// Forbidden is what no policy opens: the host's own networks, other sandboxes,
// metadata services and whatever else is not the public internet. A name that
// resolves there is refused as well.
// Source: the IANA IPv4 special-purpose address registry, but for the ranges that
// are for documentation, where nobody is; and 168.63.129.16, by which Azure's hosts
// speak to their own machines.
var Forbidden = mustSet(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
	"172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "168.63.129.16/32", "198.18.0.0/15", "224.0.0.0/3",
)

var everything = netip.MustParsePrefix("0.0.0.0/0")

func mustSet(prefixes ...string) *netipx.IPSet {
	var builder netipx.IPSetBuilder
	for _, prefix := range prefixes {
		builder.AddPrefix(netip.MustParsePrefix(prefix))
	}
	set, err := builder.IPSet()
	if err != nil {
		panic(err)
	}
	return set
}
