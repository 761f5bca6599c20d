package cpserver

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
)

const (
	localHostName = "local"
	// firstSyncTimeout bounds the wait for a host agent that does not answer.
	firstSyncTimeout = 10 * time.Second
)

// registerLocalHost stores the host on this machine and opens a link to it. It returns
// nil if no host agent is configured.
func registerLocalHost(ctx context.Context, steps *boot.Sequence, b *base, agents *fleet.Agents) (*localHost, error) {
	if b.Config.HostAgentSocket == "" {
		return nil, nil //nolint:nilnil // no local host
	}
	stored, err := fleet.EnsureLocal(ctx, b.Pool, localHostName)
	if err != nil {
		return nil, err
	}
	local := &localHost{id: stored.ID, link: host.NewLocalLink(b.Config.HostAgentSocket, b.Config.HostTrafficSocket)}
	agents.Put(local.id, local.link)
	steps.OnStop("close the link to the local host", func(context.Context) error { local.link.Close(); return nil })
	return local, nil
}

// openFleet makes what lets other machines join as hosts, and loads those that have.
func openFleet(ctx context.Context, b *base, h *hosts, s *services) (*fleet.Service, *fleet.Followers, error) {
	authority, err := fleet.OpenAuthority(ctx, b.Pool, b.keys.keyring)
	if err != nil {
		return nil, nil, err
	}
	registry := &fleet.Service{
		Pool: b.Pool, Authority: authority, Sandboxes: s.sandboxes, Overcommit: fleet.DefaultOvercommit, Log: b.Log,
	}
	followers := &fleet.Followers{
		Pool: b.Pool, Fleet: h.agents, Sandboxes: s.sandboxes, Templates: s.templates, Claimant: b.claimant, TLS: authority.Client(registry.Check),
		Issuer: s.issuer, Log: b.Log,
	}
	return registry, followers, followers.Load(ctx)
}

// firstSync reads the local host's state before the first request can need it. If the
// host agent does not answer yet, background work reads it later.
func firstSync(ctx context.Context, b *base, s *services) error {
	if s.localSync == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, firstSyncTimeout)
	defer cancel()
	err := s.localSync.Sync(ctx)
	if code := fault.CodeOf(err); code == fault.Unavailable || code == fault.Timeout {
		b.Log.Warn("the host agent does not answer yet", "error", err)
		return nil
	}
	return err
}
