package fleet

import (
	"context"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

// List returns all hosts but those that are retired, by name.
func (r *Service) List(ctx context.Context) ([]LoadedHost, error) {
	return newStore(r.pool).listLoaded(ctx)
}

// Get returns a host that is not retired.
func (r *Service) Get(ctx context.Context, hostID uuid.UUID) (LoadedHost, error) {
	return newStore(r.pool).getLoaded(ctx, hostID)
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
	return operation.Retry(ctx, func() error {
		found, err := newStore(r.pool).get(ctx, hostID)
		switch {
		case err != nil:
			return err
		case found.State == lifecycle.HostRetired:
			return notFound(hostID)
		case found.State == next:
			return nil
		case next == lifecycle.HostReady && found.State != lifecycle.HostDraining:
			return fault.New(fault.Conflict, "host %s is %s, and is ready by itself when it answers", found.Name, found.State)
		}
		return move(ctx, r.pool, found, next, r.log)
	})
}

// move changes a host's state and records it.
func move(ctx context.Context, pool *pgxpool.Pool, moved Host, next lifecycle.HostState, log *slog.Logger) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		event, err := newStore(tx).move(ctx, moved, next)
		if err != nil {
			return err
		}
		return events.RecordAll(ctx, tx, event)
	})
	if err == nil {
		log.InfoContext(ctx, "host changed state", "host", moved.ID, "from", moved.State, "to", next)
	}
	return err
}

// Retire takes a host out of the fleet for good and ends its certificates. One
// that still has sandboxes, paused or not, is retired only by force: they are lost.
func (r *Service) Retire(ctx context.Context, hostID uuid.UUID, force bool) error {
	err := operation.Retry(ctx, func() error {
		return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error { return retire(ctx, tx, hostID, force) })
	})
	if err != nil {
		return err
	}
	r.log.InfoContext(ctx, "a host is retired", "host", hostID)
	return r.sandboxes.LoseHost(ctx, hostID)
}

// retire waits for placements on the host that are under way; there are none
// after it.
func retire(ctx context.Context, tx pgx.Tx, hostID uuid.UUID, force bool) error {
	store := newStore(tx)
	found, err := store.get(ctx, hostID)
	if err == nil && found.State == lifecycle.HostRetired {
		err = notFound(hostID)
	}
	if err != nil {
		return err
	}
	if found.Address == "" {
		return fault.New(fault.Conflict, "host %s is the control plane's own machine", found.Name)
	}
	retired, err := store.move(ctx, found, lifecycle.HostRetired)
	if err != nil {
		return err
	}
	left, err := store.countSandboxes(ctx, hostID)
	if err != nil {
		return err
	}
	if left > 0 && !force {
		return fault.New(fault.Conflict, "host %s still has %d sandboxes, which would be lost", found.Name, left)
	}
	lost, err := volumes.Retire(ctx, tx, hostID, found.Name, force)
	if err != nil {
		return err
	}
	if _, err := store.revokeCertificates(ctx, hostID); err != nil {
		return err
	}
	if err := store.freeName(ctx, hostID); err != nil {
		return err
	}
	return events.RecordAll(ctx, tx, append([]events.Draft{retired}, lost...)...)
}
