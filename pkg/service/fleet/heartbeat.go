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
			err = h.sandboxes.Drain(ctx, h.hostID)
		}
		if err != nil {
			if ctx.Err() == nil {
				h.log.WarnContext(ctx, "a host's heartbeat is missing", "host", h.hostID, "error", err)
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.options.Nudges:
		}
	}
}

// measure records what the host is and how full.
func (h *Sync) measure(ctx context.Context) (Host, error) {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	info, err := h.host.Info(ctx)
	if err != nil {
		return Host{}, err
	}
	seen, err := newStore(h.pool).heartbeat(ctx, h.hostID, info)
	if err != nil {
		return Host{}, err
	}
	h.settleSigningKey(ctx, info.SigningKeyID)
	return seen, nil
}

// settleSigningKey makes sure that the host can sign. One that cannot does all else.
func (h *Sync) settleSigningKey(ctx context.Context, held string) {
	if h.options.Issuer == nil || time.Since(h.signingKeyTried) < signingKeyRetry {
		return
	}
	h.signingKeyTried = time.Time{}
	if err := h.options.Issuer.Settle(ctx, h.hostID, h.host, held); err != nil {
		h.signingKeyTried = time.Now()
		h.log.WarnContext(ctx, "give a host a key to sign identity tokens with", "host", h.hostID, "error", err)
	}
}

// welcome makes a host that has answered, and whose sandboxes are known, one that
// gets new ones, unless it was to be drained.
func (h *Sync) welcome(ctx context.Context) error {
	found, err := newStore(h.pool).get(ctx, h.hostID)
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
	found, err := newStore(h.pool).get(ctx, h.hostID)
	if err == nil && found.State.CanBecome(lifecycle.HostUnreachable) {
		err = h.become(ctx, found, lifecycle.HostUnreachable)
	}
	if err != nil && ctx.Err() == nil {
		h.log.WarnContext(ctx, "mark a host as unreachable", "host", h.hostID, "error", err)
	}
}

func (h *Sync) become(ctx context.Context, found Host, next lifecycle.HostState) error {
	err := move(ctx, h.pool, found, next, h.log)
	if errors.Is(err, operation.ErrOvertaken) {
		return nil // by an admin, or by another that follows it
	}
	return err
}
