package placement

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// maxProposals bounds the hosts that one call of a scheduler may propose.
const maxProposals = 256

// Errors that a scheduler gets for calls that the contract does not allow.
var (
	errReserved    = errors.New("the sandbox has its host already")
	errTooMany     = errors.New("the scheduler has proposed too many hosts")
	errNotReserved = errors.New("the scheduler has returned a host that it did not reserve")
	errOver        = errors.New("the placement is over")
)

// attempt is one call of a scheduler. It believes nothing that a scheduler says: each
// constraint is checked before a host is reserved, one host at most is, and what the
// reservations came to is the result.
type attempt struct {
	service *Service
	request scheduler.Request
	// admit checks the limits of the team, whose account it locks.
	admit func(ctx context.Context, tx pgx.Tx) error
	// insert stores what is placed.
	insert func(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) error

	mutex     sync.Mutex
	proposals int
	placed    *uuid.UUID
	failure   error // ended the placement
}

// run returns the host, or why there is none.
func (a *attempt) run(ctx context.Context) (uuid.UUID, error) {
	_, err := a.service.scheduler.Place(ctx, a.copied(), a.reserve)
	a.mutex.Lock()
	defer a.mutex.Unlock()
	switch {
	case a.placed != nil:
		if err != nil {
			a.service.log.WarnContext(ctx, "the scheduler failed after a reservation", "host", *a.placed, "error", err)
		}
		return *a.placed, nil
	case a.failure != nil:
		err = a.failure
	case err == nil:
		err = errNotReserved
	}
	a.failure = errors.Join(errOver, err) // for calls after this
	return uuid.Nil, err
}

// copied is the request without slices that the scheduler could change.
func (a *attempt) copied() scheduler.Request {
	request := a.request
	request.Tags, request.Avoid = slices.Clone(request.Tags), slices.Clone(request.Avoid)
	return request
}

// reserve is the scheduler.Reserve of the attempt.
func (a *attempt) reserve(ctx context.Context, hostID uuid.UUID) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.proposals++
	switch {
	case a.placed != nil:
		return errReserved
	case a.failure != nil:
		return a.failure
	case a.proposals > maxProposals:
		a.failure = errTooMany
		return a.failure
	case a.request.Host != uuid.Nil && a.request.Host != hostID, slices.Contains(a.request.Avoid, hostID):
		return scheduler.ErrTaken
	}
	err := pgx.BeginFunc(ctx, a.service.pool, func(tx pgx.Tx) error { return a.place(ctx, tx, hostID) })
	switch {
	case err == nil:
		a.placed = &hostID
	case !errors.Is(err, scheduler.ErrTaken):
		a.failure = err // a commit may have succeeded without an answer: there is no second one
	}
	return err
}

// place is called in a transaction. Lock order, as in the schema's triggers: the team's
// account, then the host's row.
func (a *attempt) place(ctx context.Context, tx pgx.Tx, hostID uuid.UUID) error {
	if err := a.admit(ctx, tx); err != nil {
		return err
	}
	if err := LockRoom(ctx, tx, hostID, a.request.Needs); err != nil {
		return err
	}
	// Statements of their own see what was committed while the locks were waited for.
	suits, err := suits(ctx, tx, hostID, a.request)
	if err == nil && suits && a.request.Group != "" && a.request.Rule == scheduler.Apart {
		var taken bool
		taken, err = store.NewSandboxes(tx).HasGroup(ctx, hostID, a.request.Group)
		suits = !taken
	}
	if err != nil {
		return err
	}
	if !suits {
		return scheduler.ErrTaken
	}
	return a.insert(ctx, tx, hostID)
}
