package host

import (
	"context"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent"
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
}

// NetworkRule changes requests to a domain. Its values can be secrets.
type NetworkRule struct {
	Domain     string
	SetHeaders map[string]string
}

// UpdateNetwork replaces what a running sandbox may reach.
func (c *Client) UpdateNetwork(ctx context.Context, sandboxID string, network Network) error {
	_, err := c.rpc.UpdateNetwork(ctx, connect.NewRequest(&pb.UpdateNetworkRequest{
		SandboxId: sandboxID, Network: toNetwork(network),
	}))
	return translate("change the network of sandbox "+sandboxID, err)
}

func toNetwork(network Network) *pb.NetworkPolicy {
	policy := &pb.NetworkPolicy{
		DenyInternet: network.DenyInternet, AllowOut: network.AllowOut, DenyOut: network.DenyOut,
		MaskRequestHost: network.MaskRequestHost,
	}
	for _, rule := range network.Rules {
		policy.Rules = append(policy.Rules, &pb.NetworkRule{Domain: rule.Domain, SetHeaders: rule.SetHeaders})
	}
	return policy
}
