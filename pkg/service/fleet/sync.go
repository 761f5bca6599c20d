package fleet

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// reconcileEvery is the net under the stream of changes.
	reconcileEvery = 15 * time.Second
	// reconcileGap keeps a busy host's changes from being looked at one by one.
	reconcileGap = 200 * time.Millisecond
	// reconnectEvery is how often a host that is away is tried again.
	reconnectEvery = 500 * time.Millisecond
	// heartbeatEvery is how often a host is asked how it is, and heartbeatTimeout
	// how long it may take to say.
	heartbeatEvery   = 5 * time.Second
	heartbeatTimeout = 10 * time.Second
	// unreachableAfter is how long a host may be away before it gets no more
	// sandboxes.
	unreachableAfter = 30 * time.Second
)

// Watched is what Sync asks of a host.
type Watched interface {
	Info(ctx context.Context) (host.Info, error)
	ListTemplates(ctx context.Context) ([]host.Template, error)
	WatchSandboxes(ctx context.Context, changed func(host.Sandbox)) error
	DeleteVolume(ctx context.Context, volumeID string) error
	SigningHost
}

// Templates stores which templates hosts have.
type Templates interface {
	SyncHost(ctx context.Context, hostID uuid.UUID, listed []host.Template) error
}

// Sync follows one host: what it is, which templates it can start, and what
// happens to its sandboxes.
type Sync struct {
	pool      *pgxpool.Pool
	hostID    uuid.UUID
	host      Watched
	sandboxes *sandboxes.Service
	templates Templates
	log       *slog.Logger
	options   SyncOptions

	signingKeyTried time.Time // without success
}

// SyncOptions are what a Sync can do without.
type SyncOptions struct {
	// UnreachableAfter is how long the host may be away before it gets no more
	// sandboxes; zero means half a minute.
	UnreachableAfter time.Duration
	// Issuer gives the host its signing key; nil for a host that signs nothing.
	Issuer *TokenIssuer
	// Nudges, which may be nil, ask for a look at the host now.
	Nudges <-chan struct{}
}

// NewSync makes a Sync of a host.
func NewSync(
	pool *pgxpool.Pool, hostID uuid.UUID, watched Watched, boxes *sandboxes.Service, templates Templates, log *slog.Logger, options SyncOptions,
) *Sync {
	return &Sync{pool: pool, hostID: hostID, host: watched, sandboxes: boxes, templates: templates, log: log, options: options}
}

// Run follows the host until ctx ends, across its absences.
func (h *Sync) Run(ctx context.Context) {
	away, seen := false, time.Now()
	for ctx.Err() == nil {
		followed, err := h.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case followed: // whether it is away, the next try tells
			away, seen = false, time.Now()
			h.log.InfoContext(ctx, "a host's stream of changes has ended, following it again", "host", h.hostID, "error", err)
		case !away:
			away = true
			h.log.WarnContext(ctx, "the host is away, trying again", "host", h.hostID, "error", err)
		}
		if time.Since(seen) >= cmp.Or(h.options.UnreachableAfter, unreachableAfter) {
			h.giveUp(ctx)
		}
		wait.For(ctx, reconnectEvery)
	}
}

// follow stays with the host as long as it is there. It says whether it was.
func (h *Sync) follow(ctx context.Context) (bool, error) {
	if err := h.Sync(ctx); err != nil {
		return false, err
	}
	h.log.InfoContext(ctx, "following a host", "host", h.hostID)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan struct{}, 1)
	var working sync.WaitGroup
	working.Go(func() { h.reconcileOnChange(ctx, changes) })
	working.Go(func() {
		defer cancel() // a stream from a host that hangs would never end
		h.beat(ctx)
	})
	err := h.host.WatchSandboxes(ctx, func(changed host.Sandbox) {
		switch changed.State {
		case sandbox.Paused, sandbox.Killed, sandbox.Broken:
			select {
			case changes <- struct{}{}:
			default: // one is waiting already
			}
		default:
		}
	})
	cancel()
	working.Wait()
	return true, err
}

func (h *Sync) reconcileOnChange(ctx context.Context, changes <-chan struct{}) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			wait.For(ctx, reconcileGap)
		case <-tick.C:
		}
		if err := errors.Join(h.sandboxes.Reconcile(ctx, h.hostID), volumes.DeleteUnfinished(ctx, h.pool, h.hostID, h.host, h.log)); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "reconcile a host", "host", h.hostID, "error", err)
		}
	}
}

// Sync takes over everything that the host says of itself, once.
func (h *Sync) Sync(ctx context.Context) error {
	if _, err := h.measure(ctx); err != nil {
		return err
	}
	if err := h.syncTemplates(ctx); err != nil {
		return err
	}
	if err := h.sandboxes.Reconcile(ctx, h.hostID); err != nil {
		return err
	}
	return h.welcome(ctx)
}

// syncTemplates makes the host's builds known, each under its public alias.
func (h *Sync) syncTemplates(ctx context.Context) error {
	templates, err := h.host.ListTemplates(ctx)
	if err != nil {
		return err
	}
	return h.templates.SyncHost(ctx, h.hostID, templates)
}
