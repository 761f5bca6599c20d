// Package network gives every sandbox its own network namespace, wired to the
// host by a veth pair and to its VM by a TAP device.
package network

import "net"

// Inside its own namespace every guest has the same addresses, so that a
// snapshot restores into any slot of any host without telling the guest.
const (
	// GuestIP is the guest's address on eth0.
	GuestIP = "169.254.7.2"
	// GatewayIP is the TAP's address: the guest's default route and name server.
	GatewayIP = "169.254.7.1"
	// GuestPrefixLength is the length of their common prefix, in bits.
	GuestPrefixLength = 30
	// GuestMAC and GatewayMAC are fixed, so that what each end knows of the other stays
	// valid and a restored guest never waits for ARP.
	GuestMAC   = "02:57:52:00:00:02"
	GatewayMAC = "02:57:52:00:00:01"
)

// The addresses of the veth pair are the same in every slot: each pair is a network of
// its own. udev does not change addresses that were set.
var (
	hostSideMAC = mustParseMAC("02:57:52:00:01:01")
	uplinkMAC   = mustParseMAC("02:57:52:00:01:02")
	packetMAC   = mustParseMAC("02:57:52:00:01:03")
)

func mustParseMAC(address string) net.HardwareAddr {
	parsed, err := net.ParseMAC(address)
	if err != nil {
		panic(err)
	}
	return parsed
}
