package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// peace lets a client demand that nothing is disturbed for a while: a machine
// under heavy load can take longer over a step than a killer waits between deeds.
type peace struct {
	mutex     sync.Mutex
	changed   *sync.Cond
	demanding int // clients that demand peace
	deeds     int // under way
}

func newPeace() *peace {
	p := &peace{}
	p.changed = sync.NewCond(&p.mutex)
	return p
}

// disturb does a deed when no client demands peace.
func (p *peace) disturb(deed func() error) error {
	p.mutex.Lock()
	for p.demanding > 0 {
		p.changed.Wait()
	}
	p.deeds++
	p.mutex.Unlock()
	defer func() {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.deeds--
		p.changed.Broadcast()
	}()
	return deed()
}

// demand returns once no deed is under way; until end is called none begins.
// Clients may demand it several at a time, and again within.
func (p *peace) demand() (end func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.demanding++
	for p.deeds > 0 {
		p.changed.Wait()
	}
	return func() {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.demanding--
		p.changed.Broadcast()
	}
}

// errAgain says that a step can be tried again.
var errAgain = errors.New("try again")

// again marks an error after which a step can be tried again.
func again(cause error) error { return fmt.Errorf("%w: %w", errAgain, cause) }

// eventually repeats a step until it no longer fails with errAgain. When it has
// failed for the whole of patience, it gets as long again in peace.
func (p *peace) eventually(ctx context.Context, patience, pause time.Duration, step func() error) error {
	err := repeat(ctx, patience, pause, step)
	if !errors.Is(err, errAgain) || ctx.Err() != nil {
		return err
	}
	defer p.demand()()
	if err = repeat(ctx, patience, pause, step); errors.Is(err, errAgain) {
		return &exhaustedError{patience, err}
	}
	return err
}

// exhaustedError says what a step last failed with that was repeated in peace. It
// hides errAgain from a step that this one is part of.
type exhaustedError struct {
	patience time.Duration
	last     error
}

func (e *exhaustedError) Error() string {
	return fmt.Sprintf("not for %s, though nothing was disturbed: %v", e.patience, e.last)
}

// repeat is eventually, without peace.
func repeat(ctx context.Context, patience, pause time.Duration, step func() error) error {
	for deadline := time.Now().Add(patience); ; <-time.After(pause) {
		err := step()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errAgain) || time.Now().After(deadline):
			return err
		}
	}
}

func TestPeace_IsWhenNoDeedIsUnderWay(t *testing.T) {
	p := newPeace()
	begun, finish, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	go func() { done <- p.disturb(func() error { close(begun); <-finish; return nil }) }()
	<-begun
	demanded := make(chan func())
	go func() { demanded <- p.demand() }()
	select {
	case <-demanded:
		t.Fatal("there is peace while a deed is under way")
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	require.NoError(t, <-done)
	end := <-demanded
	p.demand()() // again within
	disturbed := make(chan struct{})
	go func() { done <- p.disturb(func() error { close(disturbed); return nil }) }()
	select {
	case <-disturbed:
		t.Fatal("peace is disturbed")
	case <-time.After(20 * time.Millisecond):
	}
	end()
	require.NoError(t, <-done)
}

func TestEventually_GivesUpOnlyAfterPeace(t *testing.T) {
	const patience = 20 * time.Millisecond
	p := newPeace()
	peaceful := func() bool {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		return p.demanding > 0
	}
	inPeace := 0
	err := p.eventually(t.Context(), patience, time.Millisecond, func() error {
		if peaceful() {
			inPeace++
		}
		return again(errors.New("not there"))
	})
	require.ErrorContains(t, err, "nothing was disturbed: try again: not there")
	require.Positive(t, inPeace)
	require.NoError(t, p.eventually(t.Context(), patience, time.Millisecond, func() error {
		if peaceful() {
			return nil
		}
		return again(errors.New("disturbed"))
	}))
	require.False(t, peaceful())
}
