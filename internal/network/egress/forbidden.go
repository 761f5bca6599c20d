package egress

import (
	"net/netip"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

// Forbidden are the addresses that no policy can allow: the host's own networks, other
// sandboxes, metadata services and all else that is not the public internet. A name that
// resolves to one is refused as well. Guests have IPv4 only.
var Forbidden = internet.SpecialIPv4

var everything = netip.MustParsePrefix("0.0.0.0/0")
