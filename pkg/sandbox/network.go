package sandbox

import (
	"maps"
	"slices"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

// Network is how traffic may reach a sandbox and leave it, as it was asked for.
type Network struct {
	// AllowPublicTraffic opens the ports to requests without a token. nil is true.
	AllowPublicTraffic *bool
	// AllowInternetAccess is whether it reaches the internet at all. nil is true.
	AllowInternetAccess *bool
	// AllowOut has subnets, addresses and domains; it takes precedence over DenyOut,
	// which has subnets and addresses.
	AllowOut []string
	DenyOut  []string
	// MaskRequestHost is the Host header that servers in the sandbox see, with
	// "${PORT}" for their port; empty to leave the client's.
	MaskRequestHost string
	// HTTPSPorts are the ports whose servers speak TLS.
	HTTPSPorts []uint16
	// Rules change requests by the domain that they go to. Their values can be secrets.
	// What is stored has no values but placeholders: only the host needs them.
	Rules map[string][]NetworkRule
	// EgressProxy is what all connections go through; nil for none. What is stored has
	// neither its password nor its authorities' certificates: only the host needs them.
	EgressProxy *EgressProxy
}

// NetworkRule sets headers of a request, in place of any of the same name.
type NetworkRule struct {
	SetHeaders map[string]string
}

// EgressProxy is a SOCKS5 proxy.
type EgressProxy struct {
	// Address is a host and a port.
	Address  string
	Username string
	Password string
	// TLS is nil where the client did not mention it.
	TLS *EgressProxyTLS
}

// EgressProxyTLS is whether and how a proxy is spoken to within TLS.
type EgressProxyTLS struct {
	Enabled bool
	// ServerName is the name in the proxy's certificate; empty for the host of its
	// address.
	ServerName string
	// CACert are the authorities that may have signed that certificate, in PEM; empty
	// for the system's.
	CACert string
}

// everywhere is the subnet that stands for the whole internet.
const everywhere = "0.0.0.0/0"

// DeniesInternet reports whether nothing is reached but what AllowOut has.
func (n Network) DeniesInternet() bool {
	return n.AllowInternetAccess != nil && !*n.AllowInternetAccess || slices.Contains(n.DenyOut, everywhere)
}

// Public reports whether a sandbox's ports answer requests without a token.
func (n Network) Public() bool { return n.AllowPublicTraffic == nil || *n.AllowPublicTraffic }

// SpeaksTLS reports whether the server on a port does.
func (n Network) SpeaksTLS(port uint16) bool { return slices.Contains(n.HTTPSPorts, port) }

// References returns the names of what the rules refer to.
func (n Network) References() (placeholder.Names, error) {
	var values []string
	for _, rules := range n.Rules {
		for _, rule := range rules {
			values = slices.AppendSeq(values, maps.Values(rule.SetHeaders))
		}
	}
	return placeholder.Find(values...)
}

// hiddenValue stands for a header's value.
const hiddenValue = "***"

// WithoutValues returns the network as it may be stored and shown.
func (n Network) WithoutValues() Network {
	n.EgressProxy = n.EgressProxy.withoutSecrets()
	shown, _ := n.MapValues(func(value string) (string, error) { return placeholder.Only(value, hiddenValue), nil })
	return shown
}

// MapValues returns the network with every header's value replaced by what change
// returns for it. The first error ends it.
func (n Network) MapValues(change func(value string) (string, error)) (Network, error) {
	if n.Rules == nil {
		return n, nil
	}
	changed := make(map[string][]NetworkRule, len(n.Rules))
	for domain, rules := range n.Rules {
		changed[domain] = make([]NetworkRule, len(rules))
		for i, rule := range rules {
			if rule.SetHeaders == nil {
				continue
			}
			headers := make(map[string]string, len(rule.SetHeaders))
			for name, value := range rule.SetHeaders {
				var err error
				if headers[name], err = change(value); err != nil {
					return Network{}, err
				}
			}
			changed[domain][i].SetHeaders = headers
		}
	}
	n.Rules = changed
	return n, nil
}

func (p *EgressProxy) withoutSecrets() *EgressProxy {
	if p == nil {
		return nil
	}
	shown := *p
	shown.Password = ""
	if p.TLS != nil {
		secured := *p.TLS
		secured.CACert = ""
		shown.TLS = &secured
	}
	return &shown
}
