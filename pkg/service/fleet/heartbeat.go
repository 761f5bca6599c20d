package fleet

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
)

// beat asks the host how it is, again and again, until it does not answer or ctx
// ends. While the host is drained it pauses what runs there.
func (h *Sync) beat(ctx context.Context) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		seen, err := h.measure(ctx)
		if err == nil && seen.State == lifecycle.HostDraining {
			err = h.Sandboxes.Drain(ctx, h.HostID)
		}
		if err != nil {
			if ctx.Err() == nil {
				h.Log.Warn("a host's heartbeat is missing", "host", h.HostID, "error", err)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.Nudges:
		}
	}
}

// measure records what the host is and how full.
func (h *Sync) measure(ctx context.Context) (Host, error) {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	info, err := h.Host.Info(ctx)
	if err != nil {
		return Host{}, err
	}
	seen, err := newStore(h.Pool).heartbeat(ctx, h.HostID, info)
	if err != nil {
		return Host{}, err
	}
	h.settleSigningKey(ctx, info.SigningKeyID)
	return seen, nil
}

// settleSigningKey makes sure that the host can sign. One that cannot does all else.
func (h *Sync) settleSigningKey(ctx context.Context, held string) {
	if h.Issuer == nil || time.Since(h.signingKeyTried) < signingKeyRetry {
		return
	}
	h.signingKeyTried = time.Time{}
	if err := h.Issuer.Settle(ctx, h.HostID, h.Host, held); err != nil {
		h.signingKeyTried = time.Now()
		h.Log.Warn("give a host a key to sign identity tokens with", "host", h.HostID, "error", err)
	}
}

// welcome makes a host that has answered, and whose sandboxes are known, one that
// gets new ones, unless it was to be drained.
func (h *Sync) welcome(ctx context.Context) error {
	found, err := newStore(h.Pool).get(ctx, h.HostID)
	if err != nil {
		return err
	}
	if found.State != lifecycle.HostPending && found.State != lifecycle.HostUnreachable {
		return nil
	}
	next := lifecycle.HostReady
	if found.DrainWanted {
		next = lifecycle.HostDraining
	}
	return h.become(ctx, found, next)
}

// giveUp marks a host as unreachable that has been away for long, so that it gets no
// more sandboxes. Those that it has keep their states: they may run all the same.
func (h *Sync) giveUp(ctx context.Context) {
	found, err := newStore(h.Pool).get(ctx, h.HostID)
	if err == nil && found.State.CanBecome(lifecycle.HostUnreachable) {
		err = h.become(ctx, found, lifecycle.HostUnreachable)
	}
	if err != nil && ctx.Err() == nil {
		h.Log.Warn("mark a host as unreachable", "host", h.HostID, "error", err)
	}
}

func (h *Sync) become(ctx context.Context, found Host, next lifecycle.HostState) error {
	err := move(ctx, h.Pool, found, next, h.Log)
	if errors.Is(err, operation.ErrOvertaken) {
		return nil // by an admin, or by another that follows it
	}
	return err
}
