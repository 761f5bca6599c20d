package sandboxes

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// UpdateNetwork replaces what a running sandbox may reach, by AllowInternetAccess,
// AllowOut, DenyOut, Rules and EgressProxy of a network. How the sandbox is reached
// stays as it is.
func (s *Service) UpdateNetwork(ctx context.Context, teamID uuid.UUID, sandboxID string, update sandbox.Network) error {
	return s.whenRunning(ctx, teamID, sandboxID, func(running sandbox.Sandbox) error {
		network := running.Network
		network.AllowInternetAccess, network.AllowOut, network.DenyOut = update.AllowInternetAccess, update.AllowOut, update.DenyOut
		network.Rules, network.EgressProxy = update.Rules, update.EgressProxy
		return s.updateNetwork(ctx, running, network)
	})
}

func (s *Service) updateNetwork(ctx context.Context, running sandbox.Sandbox, network sandbox.Network) error {
	if err := s.validateNetwork(network); err != nil {
		return err
	}
	if err := checkTokens(network, running.IdentityTokens); err != nil {
		return err
	}
	secrets, err := s.secretsOf(ctx, running.TeamID, network)
	if err != nil {
		return err
	}
	if err := s.guard.BeforeNetworkUpdate(ctx, NetworkUpdate{Sandbox: running, Network: network.WithoutValues()}); err != nil {
		return err
	}
	if err := s.mayUseSecrets(ctx, running.TeamID, running.ID, network); err != nil {
		return err
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	if err := s.hosts.Agent(running.HostID).UpdateNetwork(ctx, running.ID, network, secrets); err != nil {
		return s.orOvertaken(ctx, running, err)
	}
	stored, err := s.store.SetNetwork(ctx, running.ID, network)
	if errors.Is(err, store.ErrNotFound) {
		return notFound(running.ID) // killed meanwhile
	}
	if err != nil {
		return err
	}
	// A delivery under way may have sent the secrets of the network before.
	s.settleSecrets(ctx, stored, "")
	s.logLine(ctx, running, "Network changed", nil)
	return nil
}

// maxHTTPSPorts is more than any sandbox has servers.
const maxHTTPSPorts = 100

// validateNetwork checks what a client asks for, also by the rules of hosts.
func (s *Service) validateNetwork(network sandbox.Network) error {
	if len(network.HTTPSPorts) > maxHTTPSPorts {
		return fault.New(fault.Invalid, "network.httpsPorts must be at most %d", maxHTTPSPorts)
	}
	if slices.Contains(network.HTTPSPorts, 0) || slices.Contains(network.HTTPSPorts, sandbox.AgentPort) {
		return fault.New(fault.Invalid, "network.httpsPorts must be from 1 to 65535 and not %d, the guest agent's", sandbox.AgentPort)
	}
	if s.options.CheckNetwork == nil {
		return nil
	}
	return s.options.CheckNetwork(network)
}
