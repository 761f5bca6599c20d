package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// operation is the right to change a sandbox, held by one goroutine: from the step that
// leaves a settled state to the one that reaches the next. Methods of operation may touch
// everything of the sandbox; those of sandbox only what the mutex guards.
type operation struct {
	*sandbox
	end context.CancelFunc // of the operation's context
}

// begin moves a settled sandbox into the first state of an operation. The returned
// context ends early if the sandbox is killed meanwhile. wanted completes "cannot ...".
func (s *sandbox) begin(ctx context.Context, first state.State, wanted string) (context.Context, *operation, error) {
	return s.beginUnless(ctx, func() bool { return false }, first, wanted)
}

// beginUnless is begin that returns ErrClosed when closed is true. closed is called with
// the mutex held: Close waits for operations that have begun before.
func (s *sandbox) beginUnless(ctx context.Context, closed func() bool, first state.State, wanted string) (context.Context, *operation, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if closed() {
		return nil, nil, ErrClosed
	}
	if s.doomed && first != state.Killing {
		return nil, nil, &ConflictError{ID: s.id, State: state.Killing, Wanted: wanted}
	}
	if !s.record.State.Settled() || !s.record.State.CanBecome(first) {
		return nil, nil, &ConflictError{ID: s.id, State: s.record.State, Wanted: wanted}
	}
	ctx, op := s.enter(ctx, first)
	return ctx, op, nil
}

// busyPatience is how long a client's operation waits for another on its sandbox.
const busyPatience = 30 * time.Second

// beginSettled is begin for a client's call: it waits, as long as the client does, until
// no other operation is under way, and returns a ConflictError that is Busy after
// busyPatience. The operation's context is a child of within. Nothing begins once the
// host is closed.
func (s *sandbox) beginSettled(ctx, within context.Context, first state.State, wanted string) (context.Context, *operation, error) {
	waiting, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	for {
		begun, op, err := s.beginUnless(within, s.host.closed.Load, first, wanted)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || !conflict.Busy() || conflict.State == state.Killing {
			return begun, op, err
		}
		if s.awaitSettled(waiting) != nil {
			return nil, nil, errors.Join(ctx.Err(), err)
		}
	}
}

// beginAfterDeath begins to keep the disk of a sandbox whose VM ended on its own. While
// another operation is under way it returns a channel that is closed at its end; it
// returns nothing at all when the sandbox has another guest, or none, by now.
func (s *sandbox) beginAfterDeath(g *guest.Guest) (context.Context, *operation, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case !s.record.State.Settled():
		return nil, nil, s.settled
	case s.record.State != state.Running || s.guest != g:
		return nil, nil, nil
	}
	ctx, op := s.enter(context.Background(), state.Pausing)
	return ctx, op, nil
}

// enter is called with the mutex held.
func (s *sandbox) enter(ctx context.Context, first state.State) (context.Context, *operation) {
	ctx, cancel := context.WithCancel(ctx)
	s.record.State, s.cancel, s.settled = first, cancel, make(chan struct{})
	if first != state.Snapshotting && first != state.Updating { // in these a call to the guest waits a moment
		s.access = guest.Access{}
	}
	return ctx, &operation{sandbox: s, end: cancel}
}

// step moves the sandbox one state on. A settled state ends the operation.
func (o *operation) step(next state.State, reason string) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if !o.record.State.CanBecome(next) {
		// The table and the code disagree, whatever the caller did.
		panic(fmt.Sprintf("sandbox %s: no transition from %s to %s", o.id, o.record.State, next))
	}
	o.record.State, o.record.Reason = next, reason
	o.access = guest.Access{}
	if next == state.Running {
		o.access = o.guest.Access()
	}
	if next.Settled() {
		o.end()
		close(o.settled)
	}
}

// publish is step that tells the watchers. The record on disk says so already.
func (o *operation) publish(next state.State, reason string) {
	var unwatched *guest.Guest
	if next == state.Running && o.watched != o.guest {
		unwatched, o.watched = o.guest, o.guest
	}
	o.step(next, reason)
	if unwatched != nil {
		o.sandbox.watch(unwatched)
	}
	o.announce()
}

// settle saves the state that ends an operation, and publishes it. If it cannot be saved,
// the operation has ended all the same: a host agent that finds the record of one under
// way comes to the same state.
func (o *operation) settle(next state.State, reason string) {
	if err := o.save(next, reason); err != nil {
		o.log().Error("save the state of a sandbox", "state", next, "error", err)
	}
	o.publish(next, reason)
}

// journal saves the state that the operation has entered, before it does anything that a
// crash would leave unfinished.
func (o *operation) journal() error {
	o.mutex.Lock()
	entered := o.record
	o.mutex.Unlock()
	return entered.Save(o.directory)
}

// save writes a state to disk before the sandbox is in it; with a VM that runs, also how
// the next host agent adopts it. A guest whose agent has not answered since a pause is
// saved as one that is being paused: the next host agent wakes it.
func (o *operation) save(next state.State, reason string) error {
	o.mutex.Lock()
	o.record.Running = record.Running{}
	if next == state.Running {
		o.record.Running = o.guest.Record(o.meter.Start())
	}
	saved := o.record
	o.mutex.Unlock()
	saved.State, saved.Reason = next, reason
	if next == state.Running && o.guest.IsPending() {
		saved.State = state.Pausing
	}
	return saved.Save(o.directory)
}

// interrupt cancels the operation under way and waits for its end.
func (s *sandbox) interrupt(ctx context.Context) error {
	s.mutex.Lock()
	current, cancel := s.record.State, s.cancel
	s.mutex.Unlock()
	if current.Settled() {
		return nil
	}
	cancel()
	return s.awaitSettled(ctx)
}

// awaitSettled waits until no operation is under way.
func (s *sandbox) awaitSettled(ctx context.Context) error {
	s.mutex.Lock()
	current, settled := s.record.State, s.settled
	s.mutex.Unlock()
	if current.Settled() {
		return nil
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for sandbox %s to stop %s: %w", s.id, current, ctx.Err())
	}
}
