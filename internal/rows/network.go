package rows

// Network is what the column sandboxes.network holds. It has no values but placeholders:
// pkg/store leaves them out.
type Network struct {
	AllowPublicTraffic *bool    `json:"allowPublicTraffic,omitempty"`
	AllowOut           []string `json:"allowOut,omitempty"`
	DenyOut            []string `json:"denyOut,omitempty"`
	// MaskRequestHost is the Host header that servers in the sandbox see, with
	// "${PORT}" for their port.
	MaskRequestHost string `json:"maskRequestHost,omitempty"`
	// HTTPSPorts speak TLS.
	HTTPSPorts []uint16 `json:"httpsPorts,omitempty"`
	// Rules change requests by the domain they go to.
	Rules map[string][]NetworkRule `json:"rules,omitempty"`
	// EgressProxy is what all connections go through.
	EgressProxy *EgressProxy `json:"egressProxy,omitempty"`
}

// EgressProxy is a SOCKS5 proxy.
type EgressProxy struct {
	// Address is a host and a port.
	Address  string          `json:"address"`
	Username string          `json:"username,omitempty"`
	TLS      *EgressProxyTLS `json:"tls,omitempty"`
}

// EgressProxyTLS is how a proxy is spoken to within TLS.
type EgressProxyTLS struct {
	Enabled bool `json:"enabled"`
	// ServerName is what the proxy's certificate is for; empty for the host of its
	// address.
	ServerName string `json:"serverName,omitempty"`
}

// NetworkRule changes a request.
type NetworkRule struct {
	Transform NetworkTransform `json:"transform,omitzero"`
}

// NetworkTransform sets headers, in place of any of the same name.
type NetworkTransform struct {
	Headers map[string]string `json:"headers,omitempty"`
}
