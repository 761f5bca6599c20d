package egress

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"
	"golang.org/x/net/http/httpguts"
)

// maxDestinations bounds AllowOut and DenyOut, each.
const maxDestinations = 1000

// Policy is a valid Spec. It never changes; a nil Policy denies everything.
type Policy struct {
	reachable  *netipx.IPSet
	deniesAll  bool
	domains    map[string]struct{}
	transforms map[string]transform
	limits     Limits
	maskHost   string
	authority  *Authority
	filler     filler
	upstream   Upstream
}

// WithAuthority returns the policy with the authority that its rules need.
func (p *Policy) WithAuthority(authority *Authority) *Policy {
	with := *p
	with.authority = authority
	return &with
}

// WithSecrets returns the policy with the secrets of its placeholders, which may change
// later.
func (p *Policy) WithSecrets(secrets *Secrets) *Policy {
	with := *p
	with.filler.secrets = secrets
	return &with
}

// WithTokens returns the policy with what makes the identity tokens of its placeholders.
func (p *Policy) WithTokens(tokens Tokens) *Policy {
	with := *p
	with.filler.tokens = tokens
	return &with
}

// Complete returns ErrNoAuthority if the policy has rules and no authority.
func (p *Policy) Complete() error {
	if p.Transforms() && p.authority == nil {
		return ErrNoAuthority
	}
	return nil
}

// Parse checks a Spec. Its errors are of type *SpecError.
func Parse(spec Spec) (*Policy, error) {
	denied, err := parseDenied(spec)
	if err != nil {
		return nil, err
	}
	allowed, domains, err := parseAllowed(spec.AllowOut)
	if err != nil {
		return nil, err
	}
	policy := &Policy{
		deniesAll: denied.ContainsPrefix(everything), domains: domains,
		limits: spec.Limits, maskHost: spec.MaskRequestHost, upstream: spec.Upstream,
	}
	if len(domains) > 0 && !policy.deniesAll {
		return nil, &SpecError{Field: "allowOut", Err: ErrDomainNeedsDenyAll}
	}
	if policy.transforms, err = parseRules(spec.Rules); err != nil {
		return nil, err
	}
	if !validMask(spec.MaskRequestHost) {
		return nil, &SpecError{Field: "maskRequestHost", Value: spec.MaskRequestHost, Err: ErrMalformedHost}
	}
	if spec.Upstream != (Upstream{}) {
		if _, _, err := spec.Upstream.parse(); err != nil {
			return nil, err
		}
	}
	if err := spec.Limits.Check(); err != nil {
		return nil, err
	}
	var reachable netipx.IPSetBuilder
	reachable.AddPrefix(everything)
	reachable.RemoveSet(denied)
	reachable.AddSet(allowed)
	reachable.RemoveSet(Forbidden)
	if policy.reachable, err = reachable.IPSet(); err != nil {
		return nil, fmt.Errorf("work out reachable addresses: %w", err)
	}
	return policy, nil
}

// validMask returns whether a mask is a Host header once "${PORT}" is filled in.
func validMask(mask string) bool {
	return len(mask) <= maxDomainLength && httpguts.ValidHostHeader(strings.ReplaceAll(mask, "${PORT}", "0"))
}

// Default is the policy of a sandbox that was created without one.
func Default() *Policy { return mustParse(Spec{}) }

// Closed is the policy that denies everything.
func Closed() *Policy { return mustParse(Spec{DenyInternet: true}) }

func mustParse(spec Spec) *Policy {
	policy, err := Parse(spec)
	if err != nil {
		panic(err)
	}
	return policy
}

func parseDenied(spec Spec) (*netipx.IPSet, error) {
	if len(spec.DenyOut) > maxDestinations {
		return nil, &SpecError{Field: "denyOut", Err: ErrTooMany}
	}
	var denied netipx.IPSetBuilder
	if spec.DenyInternet {
		denied.AddPrefix(everything)
	}
	for _, entry := range spec.DenyOut {
		prefix, err := parsePrefix(entry)
		if err != nil {
			if _, domain := parsePattern(entry); domain || entry == "*" {
				err = ErrDomainInDenyOut
			}
			return nil, &SpecError{Field: "denyOut", Value: entry, Err: err}
		}
		if prefix.Addr().Is4() { // IPv6 is denied in any case
			denied.AddPrefix(prefix)
		}
	}
	return denied.IPSet()
}

func parseAllowed(entries []string) (*netipx.IPSet, map[string]struct{}, error) {
	if len(entries) > maxDestinations {
		return nil, nil, &SpecError{Field: "allowOut", Err: ErrTooMany}
	}
	var allowed netipx.IPSetBuilder
	domains := map[string]struct{}{}
	for _, entry := range entries {
		prefix, err := parsePrefix(entry)
		if domain, ok := parsePattern(entry); err != nil && (ok || entry == "*") {
			if entry == "*" {
				domain = entry
			}
			domains[domain] = struct{}{}
			continue
		}
		switch {
		case err != nil:
		case prefix.Addr().Is6():
			err = ErrIPv6
		case Forbidden.ContainsPrefix(prefix):
			err = ErrForbiddenRange
		}
		if err != nil {
			return nil, nil, &SpecError{Field: "allowOut", Value: entry, Err: err}
		}
		allowed.AddPrefix(prefix)
	}
	set, err := allowed.IPSet()
	return set, domains, err
}

// parsePrefix reads a CIDR, or an address as a CIDR of one.
func parsePrefix(entry string) (netip.Prefix, error) {
	if strings.Contains(entry, "/") {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return netip.Prefix{}, ErrMalformedDestination
		}
		return prefix.Masked(), nil
	}
	address, err := netip.ParseAddr(entry)
	if err != nil || address.Zone() != "" {
		return netip.Prefix{}, ErrMalformedDestination
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), nil
}
