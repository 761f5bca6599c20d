package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
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
func (h *Sync) measure(ctx context.Context) (rows.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	info, err := h.Host.Info(ctx)
	if err != nil {
		return rows.Host{}, err
	}
	// No transaction: a placement locks these two rows in the other order.
	queries := rows.New(h.Pool)
	seen, err := queries.UpdateHost(ctx, rows.UpdateHostParams{
		ID: h.HostID, Version: info.Version, Driver: info.Driver, Accelerator: info.Accelerator,
		CPUCount: info.CPUCount, MemoryTotalBytes: info.MemoryTotalBytes, DiskTotalBytes: info.DiskTotalBytes,
	})
	if err == nil {
		err = queries.UpdateHostLoad(ctx, rows.UpdateHostLoadParams{
			HostID: h.HostID, MemoryAvailableBytes: info.MemoryAvailableBytes, DiskAvailableBytes: info.DiskAvailableBytes,
		})
	}
	if err != nil {
		return rows.Host{}, fmt.Errorf("record a heartbeat of host %s: %w", h.HostID, err)
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
	row, err := rows.New(h.Pool).GetHost(ctx, h.HostID)
	if err != nil {
		return fmt.Errorf("get host %s: %w", h.HostID, err)
	}
	if row.State != lifecycle.HostPending && row.State != lifecycle.HostUnreachable {
		return nil
	}
	next := lifecycle.HostReady
	if row.DrainWanted {
		next = lifecycle.HostDraining
	}
	return h.become(ctx, row, next)
}

// giveUp lets a host that has been away for long get no more sandboxes. Those it
// has stay what they are: nobody knows that they are not.
func (h *Sync) giveUp(ctx context.Context) {
	row, err := rows.New(h.Pool).GetHost(ctx, h.HostID)
	if err == nil && row.State.CanBecome(lifecycle.HostUnreachable) {
		err = h.become(ctx, row, lifecycle.HostUnreachable)
	}
	if err != nil && ctx.Err() == nil {
		h.Log.Warn("mark a host as unreachable", "host", h.HostID, "error", err)
	}
}

func (h *Sync) become(ctx context.Context, row rows.Host, next lifecycle.HostState) error {
	err := moveHost(ctx, rows.New(h.Pool), row, next)
	if errors.Is(err, operation.ErrOvertaken) {
		return nil // by an admin, or by another that follows it
	}
	if err == nil {
		h.Log.Info("host changed state", "host", h.HostID, "from", row.State, "to", next)
	}
	return err
}

// moveHost is the only way in which a host changes its state.
func moveHost(ctx context.Context, queries *rows.Queries, row rows.Host, next lifecycle.HostState) error {
	if !row.State.CanBecome(next) {
		return fmt.Errorf("host %s: no transition from %s to %s", row.ID, row.State, next)
	}
	wanted := row.DrainWanted
	switch next {
	case lifecycle.HostDraining:
		wanted = true
	case lifecycle.HostReady:
		wanted = false
	}
	_, err := queries.SetHostState(ctx, rows.SetHostStateParams{
		ID: row.ID, FromState: row.State, NextState: next, DrainWanted: wanted,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return operation.ErrOvertaken
	}
	if err != nil {
		return fmt.Errorf("move host %s to %s: %w", row.ID, next, err)
	}
	return nil
}
