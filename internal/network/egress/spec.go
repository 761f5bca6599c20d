// Package egress decides what a sandbox may reach, and carries what the
// kernel alone cannot decide: connections that are allowed by name, and
// requests whose headers a rule changes.
package egress

// Spec is a network policy as a client writes it. The zero value is the
// default: the whole internet, unlimited. Parse turns it into a Policy.
type Spec struct {
	// DenyInternet is the same as DenyOut with 0.0.0.0/0.
	DenyInternet bool `json:"denyInternet,omitempty"`
	// AllowOut lists CIDRs, addresses and domains ("example.com",
	// "*.example.com" for its subdomains at any depth, "*"). It takes
	// precedence over DenyOut.
	AllowOut []string `json:"allowOut,omitempty"`
	// DenyOut lists CIDRs and addresses.
	DenyOut []string `json:"denyOut,omitempty"`
	// Rules change requests by the domain they go to. An exact name wins over
	// a wildcard, a longer wildcard over a shorter. A rule grants no access.
	Rules map[string][]Rule `json:"rules,omitempty"`
	// MaskRequestHost is the Host header that servers in the sandbox see, with
	// "${PORT}" for their port. The sandbox proxy sets it; this package only checks it.
	MaskRequestHost string `json:"maskRequestHost,omitempty"`
	Limits          Limits `json:"limits,omitzero"`
	// Upstream is the proxy that all connections go through. What it cannot carry, such
	// as datagrams, is refused.
	Upstream Upstream `json:"upstream,omitzero"`
}

// Rule changes HTTP and HTTPS requests. Headers replace those of the same name; the guest never sees their values. A value can have placeholders of
// secrets and identity tokens, which are filled in when a request is carried.
type Rule struct {
	SetHeaders    map[string]string `json:"setHeaders,omitempty"`
	RemoveHeaders []string          `json:"removeHeaders,omitempty"`
}
