package egress

import (
	"net/netip"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

// Forbidden is what no policy opens: the host's own networks, other sandboxes,
// metadata services and whatever else is not the public internet. A name that
// resolves there is refused as well. Guests speak IPv4 only.
var Forbidden = internet.SpecialIPv4

var everything = netip.MustParsePrefix("0.0.0.0/0")
