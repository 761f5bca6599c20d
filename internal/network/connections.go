package network

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// forgetDenied deletes the connection tracking entries of the guest's connections that
// its policy denies. The firewall drops their packets in any case; without entries they
// cannot continue under a later policy that allows them.
func forgetDenied(namespace netns.NsHandle, policy *egress.Policy) error {
	handle, err := netlink.NewHandleAt(namespace, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer handle.Close()
	if _, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, denied{policy}); err != nil {
		return fmt.Errorf("forget connections that are denied now: %w", err)
	}
	return nil
}

// forgetAll deletes the host's connection tracking entries of a slot's address, so that
// the next slot with the address has none, and the ports that address translation uses
// for them are free at once.
func forgetAll(address netip.Addr) error {
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, ofAddress(address)); err != nil {
		return fmt.Errorf("forget the connections of %s: %w", address, err)
	}
	return nil
}

// ofAddress matches connections from and to an address.
type ofAddress netip.Addr

// MatchConntrackFlow tells whether a connection is to be forgotten.
func (a ofAddress) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	source, _ := netip.AddrFromSlice(flow.Forward.SrcIP)
	destination, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	return source.Unmap() == netip.Addr(a) || destination.Unmap() == netip.Addr(a)
}

// denied matches connections that the guest opened and may not have.
type denied struct{ policy *egress.Policy }

// MatchConntrackFlow tells whether a connection is to be forgotten.
func (d denied) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	source, _ := netip.AddrFromSlice(flow.Forward.SrcIP)
	if source.Unmap() != guestAddress {
		return false
	}
	if answerer, _ := netip.AddrFromSlice(flow.Reverse.SrcIP); answerer.Unmap() == gatewayAddress {
		return false // the gateway ends its own
	}
	destination, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	return !d.policy.Reachable().Contains(destination.Unmap())
}
