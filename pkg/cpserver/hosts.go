package cpserver

import (
	"context"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

// registerHost makes the host on this machine known, where there is one.
func (s *server) registerHost(ctx context.Context) error {
	s.fleet = &fleet.Agents{}
	if s.config.HostAgentSocket == "" {
		return nil
	}
	local, err := fleet.EnsureLocal(ctx, s.pool, localHost)
	if err != nil {
		return err
	}
	s.hostID, s.host = local.ID, host.NewLocalLink(s.config.HostAgentSocket, s.config.HostTrafficSocket)
	s.fleet.Put(s.hostID, s.host)
	s.parts.OnStop("close the link to the local host", func(context.Context) error { s.host.Close(); return nil })
	return nil
}

// buildFleet makes what lets other machines be hosts.
func (s *server) buildFleet(ctx context.Context) error {
	ca, err := fleet.OpenAuthority(ctx, s.pool, s.keyring)
	if err != nil {
		return err
	}
	s.hosts = &fleet.Service{
		Pool: s.pool, Authority: ca, Sandboxes: s.sandboxes, Overcommit: fleet.DefaultOvercommit, Log: s.log,
	}
	s.api.Hosts, s.api.Usage = s.hosts, s.usage
	s.followers = &fleet.Followers{
		Pool: s.pool, Fleet: s.fleet, Sandboxes: s.sandboxes, Claimant: s.claimant, TLS: ca.Client(s.hosts.Check), Issuer: s.issuer, Log: s.log,
	}
	return s.followers.Load(ctx)
}
