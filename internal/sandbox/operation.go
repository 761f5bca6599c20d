package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// operation is the right to change a sandbox, held by one goroutine: from the
// step that leaves a settled state to the one that reaches the next. Only its
// holder writes the sandbox's record.
type operation struct {
	sandbox *sandbox
	cancel  context.CancelFunc
}

// begin moves a settled sandbox into the first state of an operation. The
// returned context ends early if the sandbox is killed meanwhile.
func (s *sandbox) begin(ctx context.Context, first State, wanted string) (context.Context, *operation, error) {
	return s.beginUnless(ctx, func() bool { return false }, first, wanted)
}

// beginUnless is begin that answers ErrClosed where closed says so. It is asked with
// the mutex held: who closes waits for operations that have begun before.
func (s *sandbox) beginUnless(ctx context.Context, closed func() bool, first State, wanted string) (context.Context, *operation, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if closed() {
		return nil, nil, ErrClosed
	}
	if s.doomed && first != Killing {
		return nil, nil, &ConflictError{ID: s.id, State: Killing, Wanted: wanted}
	}
	if !s.record.State.settled() || !s.record.State.canBecome(first) {
		return nil, nil, &ConflictError{ID: s.id, State: s.record.State, Wanted: wanted}
	}
	ctx, op := s.enter(ctx, first)
	return ctx, op, nil
}

// busyPatience is how long a client's operation waits for another one on its sandbox.
const busyPatience = 30 * time.Second

// beginSettled is begin for what a client asks for: it waits, as long as the client
// does, until no other operation is under way, and answers a ConflictError that is Busy
// when patience ends. The operation's own context is a child of within. Nothing begins
// once the manager ends.
func (m *Manager) beginSettled(ctx, within context.Context, s *sandbox, first State, wanted string) (context.Context, *operation, error) {
	waiting, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	for {
		begun, op, err := s.beginUnless(within, m.closed.Load, first, wanted)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || !conflict.Busy() || conflict.State == Killing {
			return begun, op, err
		}
		if s.awaitSettled(waiting) != nil {
			return nil, nil, errors.Join(ctx.Err(), err)
		}
	}
}

// beginAfterDeath starts to put away a sandbox whose VM ended on its own. While
// somebody else works on the sandbox it answers when to ask again; with nothing
// at all, the VM is the sandbox's no more.
func (s *sandbox) beginAfterDeath(machine vmm.Machine) (context.Context, *operation, <-chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case !s.record.State.settled():
		return nil, nil, s.settled
	case s.record.State != Running || s.guest.machine != machine:
		return nil, nil, nil
	}
	ctx, op := s.enter(context.Background(), Pausing)
	return ctx, op, nil
}

// enter is called with the mutex held.
func (s *sandbox) enter(ctx context.Context, first State) (context.Context, *operation) {
	ctx, cancel := context.WithCancel(ctx)
	s.record.State, s.cancel, s.settled = first, cancel, make(chan struct{})
	if first != Snapshotting && first != Updating { // then whoever calls the guest waits a moment
		s.way = Way{}
	}
	return ctx, &operation{sandbox: s, cancel: cancel}
}

// step moves a sandbox that is in the middle of an operation one state on. A
// settled state ends the operation.
func (o *operation) step(next State, reason string) {
	s := o.sandbox
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.record.State.canBecome(next) {
		// The table and the code disagree: a fault of ours, never of a caller's.
		panic(fmt.Sprintf("sandbox %s: no transition from %s to %s", s.id, s.record.State, next))
	}
	s.record.State, s.record.Reason = next, reason
	s.way = Way{}
	if next == Running {
		s.way = Way{s.guest.slot.Address(), s.guest.secret}
	}
	if next.settled() {
		o.cancel()
		close(s.settled)
	}
}

// publish is step for all to see. Its record says so already.
func (m *Manager) publish(op *operation, next State, reason string) {
	s := op.sandbox
	var unwatched vmm.Machine
	if next == Running && s.watched != s.guest.machine {
		unwatched, s.watched = s.guest.machine, s.guest.machine
	}
	op.step(next, reason)
	if unwatched != nil {
		m.watchGuest(s, unwatched)
	}
	m.announce(s)
}

// settle writes down the state that ends an operation, and publishes it. Where
// it cannot be written the operation has ended all the same: an agent that finds
// the record of one under way comes to the same state.
func (m *Manager) settle(op *operation, next State, reason string) {
	if err := op.sandbox.note(next, reason); err != nil {
		op.sandbox.logger(m.log).Error("write down what a sandbox is now", "state", next, "error", err)
	}
	m.publish(op, next, reason)
}

// interrupt cancels the operation under way and waits for its end.
func (s *sandbox) interrupt(ctx context.Context) error {
	s.mutex.Lock()
	state, cancel := s.record.State, s.cancel
	s.mutex.Unlock()
	if state.settled() {
		return nil
	}
	cancel()
	return s.awaitSettled(ctx)
}

// awaitSettled waits until nobody works on the sandbox.
func (s *sandbox) awaitSettled(ctx context.Context) error {
	s.mutex.Lock()
	state, settled := s.record.State, s.settled
	s.mutex.Unlock()
	if state.settled() {
		return nil
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for sandbox %s to stop %s: %w", s.id, state, ctx.Err())
	}
}
