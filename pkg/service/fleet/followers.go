package fleet

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// fleetEvery is how often a control plane looks for hosts without a follower: those
	// of another that has died.
	fleetEvery = time.Second
	// followBatch is how many it takes at once, so that several share a fleet.
	followBatch = 64
)

// Followers keeps a way to every host of the fleet, and follows those hosts that
// no other control plane follows. Which those are is in the database; when a
// control plane dies, its hosts are taken over.
type Followers struct {
	pool      *pgxpool.Pool
	agents    *Agents
	sandboxes *sandboxes.Service
	templates Templates
	claimant  sandboxes.Claimant
	tls       *tls.Config
	issuer    *TokenIssuer
	log       *slog.Logger

	running sync.WaitGroup
	hosts   map[uuid.UUID]*follower
}

// NewFollowers makes Followers of the whole fleet. agents gets the ways to hosts, which
// are called with client; the server name is set for each.
func NewFollowers(
	pool *pgxpool.Pool, agents *Agents, boxes *sandboxes.Service, templates Templates, claimant sandboxes.Claimant,
	client *tls.Config, issuer *TokenIssuer, log *slog.Logger,
) *Followers {
	return &Followers{
		pool: pool, agents: agents, sandboxes: boxes, templates: templates, claimant: claimant, tls: client, issuer: issuer, log: log,
		hosts: map[uuid.UUID]*follower{},
	}
}

// follower is what is kept of one host. Only the goroutine of Run touches it.
type follower struct {
	address string
	link    *host.Link
	nudges  chan struct{}
	// stop ends the HostSync; nil while another control plane has the host.
	stop context.CancelFunc
}

// Load makes the ways to all hosts, so that the first request finds its own. It
// comes before Run.
func (f *Followers) Load(ctx context.Context) error {
	current, err := f.current(ctx)
	for hostID, row := range current {
		f.keep(ctx, hostID, row.Address, false)
	}
	return err
}

// Run keeps the fleet until ctx ends.
func (f *Followers) Run(ctx context.Context) {
	changes := make(chan string, 1)
	f.running.Go(func() { f.listen(ctx, changes) })
	tick := time.NewTicker(fleetEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := f.refresh(ctx); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "look for hosts", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case changed := <-changes:
			f.heed(changed)
		}
	}
	for hostID := range f.hosts {
		f.drop(hostID)
	}
	f.running.Wait()
}

// heed acts on an announcement: the connection to a host whose certificates were
// revoked is opened again, and all hosts are asked how they are.
func (f *Followers) heed(changed string) {
	hostID, err := uuid.Parse(changed)
	switch {
	case err == nil:
		f.drop(hostID)
	case changed == missedSome:
		for hostID := range f.hosts {
			f.drop(hostID)
		}
	}
	for _, known := range f.hosts {
		select {
		case known.nudges <- struct{}{}:
		default:
		}
	}
}

// refresh brings what is kept to what the database says.
func (f *Followers) refresh(ctx context.Context) error {
	me := f.claimant.ID()
	if err := newStore(f.pool).follow(ctx, me, followBatch); err != nil {
		return err
	}
	current, err := f.current(ctx)
	if err != nil {
		return err
	}
	for hostID, known := range f.hosts {
		if row, still := current[hostID]; !still || row.Address != known.address {
			f.drop(hostID)
		}
	}
	for hostID, row := range current {
		f.keep(ctx, hostID, row.Address, row.Follower == me)
	}
	return nil
}

// current are the hosts that have joined and are not retired.
func (f *Followers) current(ctx context.Context) (map[uuid.UUID]Host, error) {
	found, err := newStore(f.pool).list(ctx)
	if err != nil {
		return nil, err
	}
	current := map[uuid.UUID]Host{}
	for _, host := range found {
		if host.Address != "" {
			current[host.ID] = host
		}
	}
	return current, nil
}

// keep makes sure of the way to a host, and that it is followed or is not.
func (f *Followers) keep(ctx context.Context, hostID uuid.UUID, address string, mine bool) {
	known, is := f.hosts[hostID]
	if !is {
		known = &follower{address: address, link: host.NewRemoteLink(hostID, address, f.tls), nudges: make(chan struct{}, 1)}
		f.hosts[hostID] = known
		f.agents.Put(hostID, known.link)
	}
	switch {
	case mine && known.stop == nil:
		ctx, stop := context.WithCancel(ctx)
		known.stop = stop
		follow := NewSync(f.pool, hostID, known.link, f.sandboxes, f.templates, f.log, SyncOptions{Nudges: known.nudges, Issuer: f.issuer})
		f.running.Go(func() { follow.Run(ctx) })
	case !mine && known.stop != nil:
		known.stop()
		known.stop = nil
	}
}

func (f *Followers) drop(hostID uuid.UUID) {
	known, is := f.hosts[hostID]
	if !is {
		return
	}
	if known.stop != nil {
		known.stop()
	}
	f.agents.remove(hostID)
	delete(f.hosts, hostID)
}

// missedSome is announced when announcements may have been missed.
const missedSome = "missed some"

// listen passes on what the database announces of hosts.
func (f *Followers) listen(ctx context.Context, changes chan<- string) {
	first := true
	for ctx.Err() == nil {
		err := f.listenOnce(ctx, first, changes)
		first = false
		if ctx.Err() == nil {
			f.log.WarnContext(ctx, "listen for changes of hosts", "error", err)
			wait.For(ctx, reconnectEvery)
		}
	}
}

func (f *Followers) listenOnce(ctx context.Context, first bool, changes chan<- string) error {
	pooled, err := f.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // one that listens must not go back to the others
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN wrenn_hosts"); err != nil {
		return err
	}
	changed := missedSome
	if first {
		changed = ""
	}
	for {
		select {
		case changes <- changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		changed = notification.Payload
	}
}
