package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// NetworkUpdate is what a running sandbox may reach from now on.
type NetworkUpdate struct {
	AllowInternetAccess *bool
	AllowOut, DenyOut   []string
	Rules               map[string][]db.NetworkRule
}

// UpdateNetwork replaces what a running sandbox may reach; what is not given is
// cleared. Who may reach the sandbox stays as it is.
func (s *Sandboxes) UpdateNetwork(ctx context.Context, teamID uuid.UUID, sandboxID string, update NetworkUpdate) error {
	sandbox, err := s.getRunning(ctx, teamID, sandboxID)
	if err != nil {
		return err
	}
	network := sandbox.Network
	network.AllowOut, network.DenyOut, network.Rules = update.AllowOut, update.DenyOut, update.Rules
	if err := s.validateNetwork(network, update.AllowInternetAccess); err != nil {
		return err
	}
	secrets, err := s.secretsOf(ctx, teamID, network)
	if err != nil {
		return err
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	if err := s.Hosts.Agent(sandbox.HostID).UpdateNetwork(ctx, sandboxID, hostNetwork(network, update.AllowInternetAccess), secrets); err != nil {
		return err
	}
	stored, err := s.Queries.SetNetwork(ctx, db.SetNetworkParams{
		ID: sandboxID, Network: network.WithoutValues(), AllowInternetAccess: update.AllowInternetAccess,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound(sandboxID) // killed meanwhile
	}
	if err != nil {
		return fmt.Errorf("store the network of sandbox %s: %w", sandboxID, err)
	}
	// Somebody may have handed it what it referred to before.
	s.settleSecrets(ctx, stored, "")
	s.logLine(ctx, sandboxID, "Network changed", nil)
	return nil
}

// getRunning returns a team's sandbox that must run now.
func (s *Sandboxes) getRunning(ctx context.Context, teamID uuid.UUID, sandboxID string) (db.Sandbox, error) {
	sandbox, err := s.Get(ctx, teamID, sandboxID)
	if err != nil {
		return db.Sandbox{}, err
	}
	if sandbox.State != lifecycle.Running {
		return db.Sandbox{}, wrongState(sandbox)
	}
	return sandbox, nil
}

// agentPort is where the guest agent listens in every sandbox.
const agentPort = 49983

// maxHTTPSPorts is more than any sandbox has servers.
const maxHTTPSPorts = 100

// validateNetwork checks what a client asks for, also by the rules of hosts.
func (s *Sandboxes) validateNetwork(network db.Network, allowInternetAccess *bool) error {
	if len(network.HTTPSPorts) > maxHTTPSPorts {
		return fault.New(fault.Invalid, "network.httpsPorts must be at most %d", maxHTTPSPorts)
	}
	if slices.Contains(network.HTTPSPorts, 0) || slices.Contains(network.HTTPSPorts, agentPort) {
		return fault.New(fault.Invalid, "network.httpsPorts must be from 1 to 65535 and not %d, the guest agent's", agentPort)
	}
	if s.CheckNetwork == nil {
		return nil
	}
	return s.CheckNetwork(hostNetwork(network, allowInternetAccess))
}

// hostNetwork is a sandbox's network in the words of its host. The rules of a
// domain keep their order.
func hostNetwork(network db.Network, allowInternetAccess *bool) host.Network {
	wanted := host.Network{
		DenyInternet: allowInternetAccess != nil && !*allowInternetAccess || slices.Contains(network.DenyOut, everywhere),
		AllowOut:     network.AllowOut, DenyOut: network.DenyOut, MaskRequestHost: network.MaskRequestHost,
	}
	for domain, rules := range network.Rules {
		if len(rules) == 0 {
			rules = []db.NetworkRule{{}} // a name must be sound even where nothing is done
		}
		for _, rule := range rules {
			wanted.Rules = append(wanted.Rules, host.NetworkRule{Domain: domain, SetHeaders: rule.Transform.Headers})
		}
	}
	return wanted
}
