package cpserver

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
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

// joinedHosts are the hosts on other machines.
type joinedHosts struct {
	registry  *fleet.Service
	followers *fleet.Followers
}

// openFleet makes what lets other machines join as hosts, and loads those that have.
func openFleet(
	ctx context.Context, b *base, h *hosts, boxes *sandboxes.Service, builds *templates.Service, issuer *fleet.TokenIssuer,
) (*joinedHosts, error) {
	authority, err := fleet.OpenAuthority(ctx, b.Pool, b.keys.keyring)
	if err != nil {
		return nil, err
	}
	registry := fleet.New(b.Pool, authority, boxes, fleet.DefaultOvercommit, b.Log)
	followers := fleet.NewFollowers(b.Pool, h.agents, boxes, builds, b.claimant, authority.Client(registry.Check), issuer, b.Log)
	return &joinedHosts{registry: registry, followers: followers}, followers.Load(ctx)
}

// newLocalSync makes what follows the local host; nil if there is none.
func newLocalSync(b *base, h *hosts, boxes *sandboxes.Service, builds *templates.Service, issuer *fleet.TokenIssuer) *fleet.Sync {
	if h.local == nil {
		return nil
	}
	return fleet.NewSync(b.Pool, h.local.id, h.local.link, boxes, builds, b.Log, fleet.SyncOptions{Issuer: issuer})
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
		b.Log.WarnContext(ctx, "the host agent does not answer yet", "error", err)
		return nil
	}
	return err
}
