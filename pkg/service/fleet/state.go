package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// List returns all hosts but those that are retired, by name.
func (r *Service) List(ctx context.Context) ([]rows.ListHostLoadsRow, error) {
	found, err := rows.New(r.Pool).ListHostLoads(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	return found, nil
}

// Get returns a host that is not retired.
func (r *Service) Get(ctx context.Context, hostID uuid.UUID) (rows.GetHostLoadRow, error) {
	row, err := rows.New(r.Pool).GetHostLoad(ctx, hostID)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, notFound(hostID)
	}
	if err != nil {
		return row, fmt.Errorf("get host %s: %w", hostID, err)
	}
	return row, nil
}

func notFound(hostID uuid.UUID) error {
	return fault.New(fault.NotFound, "host %s was not found", hostID)
}

// Drain lets a host get no more sandboxes and has what runs on it paused.
func (r *Service) Drain(ctx context.Context, hostID uuid.UUID) error {
	return r.move(ctx, hostID, lifecycle.HostDraining)
}

// Undrain lets a host that was drained get sandboxes again.
func (r *Service) Undrain(ctx context.Context, hostID uuid.UUID) error {
	return r.move(ctx, hostID, lifecycle.HostReady)
}

func (r *Service) move(ctx context.Context, hostID uuid.UUID, next lifecycle.HostState) error {
	queries := rows.New(r.Pool)
	return operation.Retry(ctx, func() error {
		row, err := queries.GetHost(ctx, hostID)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return notFound(hostID)
		case err != nil:
			return fmt.Errorf("get host %s: %w", hostID, err)
		case row.State == lifecycle.HostRetired:
			return notFound(hostID)
		case row.State == next:
			return nil
		case next == lifecycle.HostReady && row.State != lifecycle.HostDraining:
			return fault.New(fault.Conflict, "host %s is %s, and is ready by itself when it answers", row.Name, row.State)
		}
		err = moveHost(ctx, queries, row, next)
		if err == nil {
			r.Log.Info("host changed state", "host", hostID, "from", row.State, "to", next)
		}
		return err
	})
}

// Retire takes a host out of the fleet for good and ends its certificates. One
// that still has sandboxes, paused or not, is retired only by force: they are lost.
func (r *Service) Retire(ctx context.Context, hostID uuid.UUID, force bool) error {
	err := operation.Retry(ctx, func() error {
		return pgx.BeginFunc(ctx, r.Pool, func(tx pgx.Tx) error { return retire(ctx, tx, hostID, force) })
	})
	if err != nil {
		return err
	}
	r.Log.Info("a host is retired", "host", hostID)
	return r.Sandboxes.LoseHost(ctx, hostID)
}

// retire waits for placements on the host that are under way; there are none
// after it.
func retire(ctx context.Context, tx pgx.Tx, hostID uuid.UUID, force bool) error {
	queries := rows.New(tx)
	row, err := queries.GetHost(ctx, hostID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.State == lifecycle.HostRetired {
		return notFound(hostID)
	}
	if err != nil {
		return fmt.Errorf("get host %s: %w", hostID, err)
	}
	if row.Address == "" {
		return fault.New(fault.Conflict, "host %s is the control plane's own machine", row.Name)
	}
	if err := moveHost(ctx, queries, row, lifecycle.HostRetired); err != nil {
		return err
	}
	left, err := queries.CountOnHost(ctx, hostID)
	if err != nil {
		return fmt.Errorf("count the sandboxes of host %s: %w", hostID, err)
	}
	if left > 0 && !force {
		return fault.New(fault.Conflict, "host %s still has %d sandboxes, which would be lost", row.Name, left)
	}
	drafts, err := volumes.Retire(ctx, tx, hostID, row.Name, force)
	if err != nil {
		return err
	}
	if _, err := queries.RevokeCertificates(ctx, hostID); err != nil {
		return fmt.Errorf("revoke the certificates of host %s: %w", hostID, err)
	}
	if err := queries.FreeHostName(ctx, hostID); err != nil {
		return fmt.Errorf("free the name of host %s: %w", hostID, err)
	}
	return events.RecordAll(ctx, tx, drafts...)
}
