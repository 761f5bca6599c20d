// Package placement gives sandboxes their hosts. A scheduler proposes; whether a host
// has the room, and the team may have the sandbox, is decided in the database.
package placement

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/semaphore"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// observeEvery is how old the scheduler's view of the fleet may get. What it
	// does not know yet costs a proposal that the database refuses.
	observeEvery = time.Second
	// observeRest keeps the looks at a large fleet from taking more than one
	// twentieth of the time.
	observeRest = 19
)

// Service gives sandboxes their hosts, within what their teams may have. A
// placement, the limits it was checked against and the room it takes are one
// transaction, so that no number of control planes promises anything twice.
type Service struct {
	pool      *pgxpool.Pool
	scheduler scheduler.Scheduler
	log       *slog.Logger

	observing *semaphore.Weighted
	observed  time.Time // when the last look at the fleet began
}

// New returns a service that knows of no host until it is asked.
func New(pool *pgxpool.Pool, chooser scheduler.Scheduler, log *slog.Logger) *Service {
	return &Service{pool: pool, scheduler: chooser, log: log, observing: semaphore.NewWeighted(1)}
}

// Insert stores a sandbox that gets a host, within the placement's transaction.
type Insert func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) (sandbox.Sandbox, error)

// Place finds a host for a team's sandbox and stores it there, within the request's
// constraints whatever the scheduler proposes. The sandbox holds its room until it is
// paused or over.
func (p *Service) Place(ctx context.Context, teamID uuid.UUID, request scheduler.Request, insert Insert) (sandbox.Sandbox, error) {
	var placed sandbox.Sandbox
	_, err := p.choose(ctx, request,
		func(ctx context.Context, tx pgx.Tx) error {
			return usage.Admit(ctx, tx, teamID, usage.Demand{Sandboxes: 1, Needs: request.Needs, Creates: 1, Each: request.Needs})
		},
		func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) (err error) {
			placed, err = insert(ctx, tx, hostID)
			return err
		})
	var none *scheduler.NoRoomError
	switch {
	case errors.As(err, &none) && none.Suited == 0:
		return sandbox.Sandbox{}, whyNoneSuits(ctx, p.pool, request, err)
	case errors.As(err, &none):
		return sandbox.Sandbox{}, fault.Wrap(fault.Exhausted, err, "no host has room for another sandbox").Because(fault.NoCapacity)
	case err != nil:
		return sandbox.Sandbox{}, err
	}
	return placed, nil
}

// InsertBuild stores what gets a host, within the placement's transaction.
type InsertBuild func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) error

// PlaceBuild finds a host for a team's build and stores it there. admit checks the limits
// of the team, whose account it locks. The build holds its room from its start until its end.
func (p *Service) PlaceBuild(
	ctx context.Context, request scheduler.Request, admit func(ctx context.Context, tx pgx.Tx) error, insert InsertBuild,
) (hostID uuid.UUID, err error) {
	hostID, err = p.choose(ctx, request, admit, insert)
	var none *scheduler.NoRoomError
	switch {
	case errors.As(err, &none) && none.Suited == 0:
		return uuid.Nil, whyNoneBuilds(ctx, p.pool, request, err)
	case errors.As(err, &none):
		return uuid.Nil, fault.Wrap(fault.Exhausted, err, "no host has room for a build of this size at the moment").Because(fault.NoCapacity)
	}
	return hostID, err
}

// choose has the scheduler choose a host, and once more where there is no room: it may not
// have heard of a host or a template yet.
func (p *Service) choose(
	ctx context.Context, request scheduler.Request, admit func(ctx context.Context, tx pgx.Tx) error, insert InsertBuild,
) (uuid.UUID, error) {
	asked := time.Now()
	try := func() (uuid.UUID, error) {
		return (&attempt{service: p, request: request, admit: admit, insert: insert}).run(ctx)
	}
	hostID, err := try()
	var none *scheduler.NoRoomError
	if !errors.As(err, &none) {
		return hostID, err
	}
	if err := p.observeSince(ctx, asked); err != nil {
		return uuid.Nil, err
	}
	return try()
}

// Run keeps the scheduler's view of the fleet fresh until ctx ends.
func (p *Service) Run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		if err := p.observeSince(ctx, began); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "look at the fleet", "error", err)
		}
		wait.For(ctx, max(observeEvery, observeRest*time.Since(began)))
	}
}

// observeSince looks at the fleet, unless another look has begun since a time.
func (p *Service) observeSince(ctx context.Context, since time.Time) error {
	if err := p.observing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer p.observing.Release(1)
	if p.observed.After(since) {
		return nil
	}
	began := time.Now()
	hosts, err := schedulable(ctx, p.pool)
	if err != nil {
		return err
	}
	p.scheduler.Observe(hosts)
	p.observed = began
	return nil
}

// CountFailure counts a create that has failed on a host, for the host's statistics. The
// store of sandboxes counts those that succeed.
func (p *Service) CountFailure(ctx context.Context, hostID uuid.UUID) error {
	return countFailure(ctx, p.pool, hostID)
}
