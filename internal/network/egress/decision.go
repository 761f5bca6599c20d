package egress

import (
	"net/netip"

	"go4.org/netipx"
)

// Reachable is the set of addresses that the kernel lets through by itself: those that
// need no name, and nothing where all goes through a proxy. It never holds anything of
// Forbidden.
func (p *Policy) Reachable() *netipx.IPSet {
	if p == nil || p.Tunnels() {
		return &netipx.IPSet{}
	}
	return p.reachable
}

// AllowsAddress tells whether the guest may reach an address whatever its name.
func (p *Policy) AllowsAddress(address netip.Addr) bool {
	return p != nil && p.reachable.Contains(address)
}

// AllowsDomain tells whether a name in normal form is on the allow list.
func (p *Policy) AllowsDomain(name string) bool {
	if p == nil || name == "" {
		return false
	}
	_, found := lookupDomain(p.domains, name)
	return found
}

// Resolves tells whether the guest may ask for a name. Where all but some
// domains are denied, other names are not even asked for: a question is a
// message to whoever owns the name.
func (p *Policy) Resolves(name string) bool {
	return p != nil && (!p.deniesAll || p.AllowsDomain(name))
}

// allowsNamed tells whether a connection meant for name may go to address,
// one that we resolved the name to ourselves.
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

// fill puts secrets and tokens into what is done to a request now.
func (p *Policy) fill(change transform) (transform, error) {
	if p == nil {
		return change, nil
	}
	return p.filler.fill(change)
}

// Inspects tells whether connections have to be looked into, which takes a
// Gateway: by domain, by rule, or both.
func (p *Policy) Inspects() bool { return p.AllowsDomains() || p.Transforms() || p.Tunnels() }

// Tunnels tells whether all connections go through a proxy.
func (p *Policy) Tunnels() bool { return p.through() != Upstream{} }

// Upstream is the proxy that all connections go through; the zero value for none.
func (p *Policy) Upstream() Upstream { return p.through() }

func (p *Policy) through() Upstream {
	if p == nil {
		return Upstream{}
	}
	return p.upstream
}

// looksInto tells whether it matters what a connection to an address says: a server
// that speaks first would have to wait until it is known that the client does not.
func (p *Policy) looksInto(original netip.AddrPort) bool {
	web := original.Port() == 80 || original.Port() == 443
	return web && p.Transforms() || p.AllowsDomains() && !p.AllowsAddress(original.Addr())
}

// NeedsGateway tells whether the policy takes a Gateway: for connections, or for
// the names that the guest may ask for.
func (p *Policy) NeedsGateway() bool { return p.Inspects() || p.ResolvesAnything() }

// AllowsDomains tells whether any domain is on the allow list.
func (p *Policy) AllowsDomains() bool { return p != nil && len(p.domains) > 0 }

// Transforms tells whether any request is to be changed.
func (p *Policy) Transforms() bool { return p != nil && len(p.transforms) > 0 }

// ResolvesAnything tells whether the guest may ask for every name.
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
