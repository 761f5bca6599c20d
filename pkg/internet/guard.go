package internet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrForbiddenAddress is returned for a connection to this machine, its network, or
// another address that is not public.
var ErrForbiddenAddress = errors.New("the address is not a public one")

// Guard checks the address that a connection is opened to, after the name was resolved,
// so that no name can lead to another.
type Guard struct {
	// Allowed are networks that may be connected to although they are not public. This
	// machine's own addresses are allowed only by a network of one address, or by one
	// within the loopback network.
	Allowed []netip.Prefix
	// Own returns this machine's addresses; nil for those of its interfaces.
	Own func() ([]netip.Addr, error)
}

// Control is for net.Dialer, which calls it before each connection, for each address of
// a name.
func (g Guard) Control(_ context.Context, _, target string, _ syscall.RawConn) error {
	endpoint, err := netip.ParseAddrPort(target)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbiddenAddress, target)
	}
	return g.Check(endpoint.Addr())
}

// Check returns ErrForbiddenAddress for an address that must not be connected to.
func (g Guard) Check(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	own, err := g.isOwn(address)
	if err != nil {
		return err
	}
	for _, network := range g.Allowed {
		if network.Contains(address) && (!own || namesOwn(network)) {
			return nil
		}
	}
	if own || !IsPublic(address) {
		return ErrForbiddenAddress
	}
	return nil
}

// Allows returns whether an address is in one of the Allowed networks.
func (g Guard) Allows(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, network := range g.Allowed {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// namesOwn returns whether an allowed network is for this machine's own addresses. A
// wide one is for other machines.
func namesOwn(network netip.Prefix) bool {
	return network.IsSingleIP() || network.Masked().Addr().IsLoopback()
}

func (g Guard) isOwn(address netip.Addr) (bool, error) {
	if address.IsLoopback() || address.IsUnspecified() {
		return true, nil
	}
	list := g.Own
	if list == nil {
		list = OwnAddresses
	}
	own, err := list()
	if err != nil {
		return false, err
	}
	for _, candidate := range own {
		if candidate == address {
			return true, nil
		}
	}
	return false, nil
}

// OwnAddresses returns the addresses of all of this machine's interfaces.
func OwnAddresses() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this machine's addresses: %w", err)
	}
	own := make([]netip.Addr, 0, len(found))
	for _, entry := range found {
		if prefix, err := netip.ParsePrefix(entry.String()); err == nil {
			own = append(own, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return own, nil
}
