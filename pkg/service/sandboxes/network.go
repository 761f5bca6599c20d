package sandboxes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// NetworkUpdate is what a running sandbox may reach from now on.
type NetworkUpdate struct {
	AllowInternetAccess *bool
	AllowOut, DenyOut   []string
	Rules               map[string][]rows.NetworkRule
	EgressProxy         *rows.EgressProxy
}

// UpdateNetwork replaces what a running sandbox may reach; what is not given is
// cleared. Who may reach the sandbox stays as it is.
func (s *Service) UpdateNetwork(ctx context.Context, teamID uuid.UUID, sandboxID string, update NetworkUpdate) error {
	return s.whenRunning(ctx, teamID, sandboxID, func(sandbox rows.Sandbox) error {
		return s.updateNetwork(ctx, sandbox, update)
	})
}

func (s *Service) updateNetwork(ctx context.Context, sandbox rows.Sandbox, update NetworkUpdate) error {
	network := sandbox.Network
	network.AllowOut, network.DenyOut, network.Rules = update.AllowOut, update.DenyOut, update.Rules
	network.EgressProxy = update.EgressProxy
	if err := s.validateNetwork(network, update.AllowInternetAccess); err != nil {
		return err
	}
	if err := checkTokens(network, sandbox.IamTokens); err != nil {
		return err
	}
	secrets, err := s.secretsOf(ctx, sandbox.TeamID, network)
	if err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	if err := s.Hosts.Agent(sandbox.HostID).UpdateNetwork(ctx, sandbox.ID, hostNetwork(network, update.AllowInternetAccess), secrets); err != nil {
		return s.orOvertaken(ctx, sandbox, err)
	}
	stored, err := s.Queries.SetNetwork(ctx, rows.SetNetworkParams{
		ID: sandbox.ID, Network: network.WithoutValues(), AllowInternetAccess: update.AllowInternetAccess,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound(sandbox.ID) // killed meanwhile
	}
	if err != nil {
		return fmt.Errorf("store the network of sandbox %s: %w", sandbox.ID, err)
	}
	// Somebody may have handed it what it referred to before.
	s.settleSecrets(ctx, stored, "")
	s.logLine(ctx, sandbox.ID, "Network changed", nil)
	return nil
}

// maxHTTPSPorts is more than any sandbox has servers.
const maxHTTPSPorts = 100

// validateNetwork checks what a client asks for, also by the rules of hosts.
func (s *Service) validateNetwork(network rows.Network, allowInternetAccess *bool) error {
	if len(network.HTTPSPorts) > maxHTTPSPorts {
		return fault.New(fault.Invalid, "network.httpsPorts must be at most %d", maxHTTPSPorts)
	}
	if slices.Contains(network.HTTPSPorts, 0) || slices.Contains(network.HTTPSPorts, sandbox.AgentPort) {
		return fault.New(fault.Invalid, "network.httpsPorts must be from 1 to 65535 and not %d, the guest agent's", sandbox.AgentPort)
	}
	if s.CheckNetwork == nil {
		return nil
	}
	return s.CheckNetwork(hostNetwork(network, allowInternetAccess))
}

// hostNetwork is a sandbox's network in the words of its host. The rules of a
// domain keep their order.
func hostNetwork(network rows.Network, allowInternetAccess *bool) host.Network {
	wanted := host.Network{
		DenyInternet: allowInternetAccess != nil && !*allowInternetAccess || slices.Contains(network.DenyOut, everywhere),
		AllowOut:     network.AllowOut, DenyOut: network.DenyOut, MaskRequestHost: network.MaskRequestHost,
	}
	if proxy := network.EgressProxy; proxy != nil {
		wanted.EgressProxy = &host.EgressProxy{Address: proxy.Address, Username: proxy.Username, Password: proxy.Password}
		if proxy.TLS != nil {
			wanted.EgressProxy.TLS, wanted.EgressProxy.ServerName, wanted.EgressProxy.CACert = proxy.TLS.Enabled, proxy.TLS.ServerName, proxy.TLS.CACert
		}
	}
	for domain, rules := range network.Rules {
		if len(rules) == 0 {
			rules = []rows.NetworkRule{{}} // a name must be sound even where nothing is done
		}
		for _, rule := range rules {
			wanted.Rules = append(wanted.Rules, host.NetworkRule{Domain: domain, SetHeaders: rule.Transform.Headers})
		}
	}
	return wanted
}
