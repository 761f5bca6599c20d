package egress

import (
	"net/netip"

	"go4.org/netipx"
)

// Reachable is the set of addresses to which the kernel accepts packets without the
// gateway: those that need no name, and none if all connections go through a proxy. No
// address of Forbidden is in it.
func (p *Policy) Reachable() *netipx.IPSet {
	if p == nil || p.Tunnels() {
		return &netipx.IPSet{}
	}
	return p.reachable
}

// AllowsAddress returns whether the guest may reach an address under any name.
func (p *Policy) AllowsAddress(address netip.Addr) bool {
	return p != nil && p.reachable.Contains(address)
}

// AllowsDomain returns whether a name in normal form is on the allow list.
func (p *Policy) AllowsDomain(name string) bool {
	if p == nil || name == "" {
		return false
	}
	_, found := lookupDomain(p.domains, name)
	return found
}

// Resolves returns whether the guest may ask for a name. If only some domains are
// allowed, queries for other names are refused: a query sends data to the owner of the
// name.
func (p *Policy) Resolves(name string) bool {
	return p != nil && (!p.deniesAll || p.AllowsDomain(name))
}

// allowsNamed returns whether a connection for name may go to address, which the gateway
// itself has resolved.
func (p *Policy) allowsNamed(name string, address netip.Addr) bool {
	return p.AllowsAddress(address) || p.AllowsDomain(name) && address.Is4() && !Forbidden.Contains(address)
}

// transformFor finds the rules for a name in normal form.
func (p *Policy) transformFor(name string) (transform, bool) {
	if p == nil || name == "" {
		return transform{}, false
	}
	return lookupDomain(p.transforms, name)
}

// fill returns a transform with secrets and tokens filled in.
func (p *Policy) fill(change transform) (transform, error) {
	if p == nil {
		return change, nil
	}
	return p.filler.fill(change)
}

// Inspects returns whether the gateway must read the start of connections: for allowed
// domains, for rules, or both.
func (p *Policy) Inspects() bool { return p.AllowsDomains() || p.Transforms() || p.Tunnels() }

// Tunnels returns whether all connections go through a proxy.
func (p *Policy) Tunnels() bool { return p.through() != Upstream{} }

// Upstream is the proxy that all connections go through; the zero value for none.
func (p *Policy) Upstream() Upstream { return p.through() }

func (p *Policy) through() Upstream {
	if p == nil {
		return Upstream{}
	}
	return p.upstream
}

// looksInto returns whether the gateway must read the start of a connection to an
// address. It delays a server that sends first until the client is known to wait.
func (p *Policy) looksInto(original netip.AddrPort) bool {
	web := original.Port() == 80 || original.Port() == 443
	return web && p.Transforms() || p.AllowsDomains() && !p.AllowsAddress(original.Addr())
}

// NeedsGateway returns whether the policy needs a Gateway: for connections, or for the
// names that the guest may ask for.
func (p *Policy) NeedsGateway() bool { return p.Inspects() || p.ResolvesAnything() }

// AllowsDomains returns whether any domain is on the allow list.
func (p *Policy) AllowsDomains() bool { return p != nil && len(p.domains) > 0 }

// Transforms returns whether any request is changed.
func (p *Policy) Transforms() bool { return p != nil && len(p.transforms) > 0 }

// ResolvesAnything returns whether the guest may ask for every name.
func (p *Policy) ResolvesAnything() bool { return p != nil && !p.deniesAll }

// Limits are the policy's bounds on traffic.
func (p *Policy) Limits() Limits {
	if p == nil {
		return Limits{}
	}
	return p.limits
}

// MaskRequestHost is the Host header that the sandbox proxy should send, or empty.
func (p *Policy) MaskRequestHost() string {
	if p == nil {
		return ""
	}
	return p.maskHost
}
