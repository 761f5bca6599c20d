package host

import (
	"context"
	"fmt"
	"log/slog"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Network is what a sandbox may reach. The zero value is the whole internet.
type Network struct {
	DenyInternet bool
	// AllowOut lists subnets, addresses and domains; it takes precedence over
	// DenyOut, which lists subnets and addresses.
	AllowOut []string
	DenyOut  []string
	Rules    []NetworkRule
	// MaskRequestHost is the Host header that servers in the sandbox see.
	MaskRequestHost string
	// EgressProxy is what all connections go through; nil for none.
	EgressProxy *EgressProxy
}

// EgressProxy is a SOCKS5 proxy.
type EgressProxy struct {
	// Address is a host and a port.
	Address            string
	Username, Password string
	// TLS says that the proxy is spoken to within TLS. ServerName and CACert, where
	// they are set, are what its certificate is for and who may have signed it.
	TLS                bool
	ServerName, CACert string
}

// NetworkRule changes requests to a domain. Its values can be secrets, or have
// placeholders of some.
type NetworkRule struct {
	Domain     string
	SetHeaders map[string]string
}

// Secrets are what placeholders stand for, by name in lower case. Whoever has them
// must not write them down.
type Secrets struct {
	Values map[string]string
	// Revision says which they are; empty for none.
	Revision string
}

// LogValue keeps values out of logs.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.Revision) }

// Format keeps values out of messages.
func (s Secrets) Format(state fmt.State, _ rune) { fmt.Fprintf(state, "secrets %q", s.Revision) }

// SetSecrets replaces all secrets that a sandbox has, in whatever state it is.
func (c *Client) SetSecrets(ctx context.Context, sandboxID string, secrets Secrets) error {
	_, err := c.rpc.SetSecrets(ctx, connect.NewRequest(&pb.SetSecretsRequest{SandboxId: sandboxID, Secrets: toSecrets(secrets)}))
	return translate("hand secrets to sandbox "+sandboxID, err)
}

func toSecrets(secrets Secrets) *pb.Secrets {
	return &pb.Secrets{Values: secrets.Values, Revision: secrets.Revision}
}

// UpdateNetwork replaces what a running sandbox may reach, and all its secrets.
func (c *Client) UpdateNetwork(ctx context.Context, sandboxID string, network Network, secrets Secrets) error {
	_, err := repeat(ctx, c.rpc.UpdateNetwork, &pb.UpdateNetworkRequest{
		SandboxId: sandboxID, Network: toNetwork(network), Secrets: toSecrets(secrets), RequestId: newRequestID(),
	})
	return translate("change the network of sandbox "+sandboxID, err)
}

func toNetwork(network Network) *pb.NetworkPolicy {
	policy := &pb.NetworkPolicy{
		DenyInternet: network.DenyInternet, AllowOut: network.AllowOut, DenyOut: network.DenyOut,
		MaskRequestHost: network.MaskRequestHost,
	}
	if proxy := network.EgressProxy; proxy != nil {
		policy.EgressProxy = &pb.EgressProxy{
			Address: proxy.Address, Username: proxy.Username, Password: proxy.Password,
			Tls: proxy.TLS, ServerName: proxy.ServerName, CaCert: proxy.CACert,
		}
	}
	for _, rule := range network.Rules {
		policy.Rules = append(policy.Rules, &pb.NetworkRule{Domain: rule.Domain, SetHeaders: rule.SetHeaders})
	}
	return policy
}
