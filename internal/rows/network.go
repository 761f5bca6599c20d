package rows

import (
	"maps"
	"slices"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

// Network is how traffic may reach a sandbox and leave it, as it was asked for.
type Network struct {
	AllowPublicTraffic *bool    `json:"allowPublicTraffic,omitempty"`
	AllowOut           []string `json:"allowOut,omitempty"`
	DenyOut            []string `json:"denyOut,omitempty"`
	// MaskRequestHost is the Host header that servers in the sandbox see, with
	// "${PORT}" for their port.
	MaskRequestHost string `json:"maskRequestHost,omitempty"`
	// HTTPSPorts speak TLS.
	HTTPSPorts []uint16 `json:"httpsPorts,omitempty"`
	// Rules change requests by the domain they go to. What is stored has no values
	// but placeholders: values can be secrets, and only the host needs them.
	Rules map[string][]NetworkRule `json:"rules,omitempty"`
	// EgressProxy is what all connections go through. What is stored has neither its
	// password nor its authorities' certificates: only the host needs them.
	EgressProxy *EgressProxy `json:"egressProxy,omitempty"`
}

// EgressProxy is a SOCKS5 proxy.
type EgressProxy struct {
	// Address is a host and a port.
	Address  string          `json:"address"`
	Username string          `json:"username,omitempty"`
	Password string          `json:"password,omitempty"`
	TLS      *EgressProxyTLS `json:"tls,omitempty"`
}

// EgressProxyTLS is how a proxy is spoken to within TLS.
type EgressProxyTLS struct {
	Enabled bool `json:"enabled"`
	// ServerName is what the proxy's certificate is for; empty for the host of its
	// address.
	ServerName string `json:"serverName,omitempty"`
	// CACert are the authorities that may have signed that certificate, in PEM; empty
	// for the system's.
	CACert string `json:"caCert,omitempty"`
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

// NetworkRule changes a request.
type NetworkRule struct {
	Transform NetworkTransform `json:"transform,omitzero"`
}

// NetworkTransform sets headers, in place of any of the same name.
type NetworkTransform struct {
	Headers map[string]string `json:"headers,omitempty"`
}

// Public says whether a sandbox's ports are open to everybody.
func (n Network) Public() bool { return n.AllowPublicTraffic == nil || *n.AllowPublicTraffic }

// SpeaksTLS says whether a port does.
func (n Network) SpeaksTLS(port uint16) bool { return slices.Contains(n.HTTPSPorts, port) }

// hiddenValue stands for a header's value.
const hiddenValue = "***"

// References are the names of what the rules refer to.
func (n Network) References() (placeholder.Names, error) {
	var values []string
	for _, rules := range n.Rules {
		for _, rule := range rules {
			values = slices.AppendSeq(values, maps.Values(rule.Transform.Headers))
		}
	}
	return placeholder.Find(values...)
}

// WithoutValues is the network as it may be stored and shown.
func (n Network) WithoutValues() Network {
	n.EgressProxy = n.EgressProxy.withoutSecrets()
	if n.Rules == nil {
		return n
	}
	hidden := make(map[string][]NetworkRule, len(n.Rules))
	for domain, rules := range n.Rules {
		hidden[domain] = []NetworkRule{}
		for _, rule := range rules {
			var headers map[string]string
			if rule.Transform.Headers != nil {
				headers = make(map[string]string, len(rule.Transform.Headers))
			}
			for name, value := range rule.Transform.Headers {
				headers[name] = placeholder.Only(value, hiddenValue)
			}
			hidden[domain] = append(hidden[domain], NetworkRule{Transform: NetworkTransform{Headers: headers}})
		}
	}
	n.Rules = hidden
	return n
}
