// Package boot starts a program's parts in named steps and takes them apart in
// reverse order.
//
// A step registers with OnStop how to undo what it has done, and with Background
// and Serve the goroutines that it has begun. Stop undoes all of it, the last
// first, whether the program ran, a step failed, or the start was cancelled:
//
//	boot.Run(ctx, func(ctx context.Context, s *boot.Sequence) error {
//		return s.Start(ctx,
//			boot.Step{Name: "open the database", Do: openDatabase},
//			boot.Step{Name: "listen", Do: listen},
//		)
//	})
package boot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Step is one part of a start. Its name says what it does and begins its error.
type Step struct {
	Name string
	Do   func(ctx context.Context) error
}

// Sequence is what a program has started, in order. Its methods may be called by
// several goroutines.
type Sequence struct {
	cancel context.CancelCauseFunc

	mutex sync.Mutex
	undo  []Step
	// failures are those of work that Step, Wait and Stop have not returned yet.
	failures []error
	failed   chan struct{} // closed at the first failure
}

// New returns an empty sequence, and the context for its steps: it ends with ctx,
// or when work that Serve has begun fails.
func New(ctx context.Context) (*Sequence, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Sequence{cancel: cancel, failed: make(chan struct{})}, ctx
}

// Run starts a program, waits until ctx ends or work of it fails, and stops it. A
// start that the end of ctx cuts short is no failure. The context for stopping has
// no deadline: each part bounds the time that it takes.
func Run(ctx context.Context, start func(ctx context.Context, s *Sequence) error) (err error) {
	s, running := New(ctx)
	defer func() { err = errors.Join(err, s.Stop(context.WithoutCancel(ctx))) }()
	err = start(running, s)
	if err == nil {
		err = s.Wait(running)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// Start runs steps one after the other, up to the first that fails.
func (s *Sequence) Start(ctx context.Context, steps ...Step) error {
	for _, step := range steps {
		if err := s.Step(ctx, step.Name, step.Do); err != nil {
			return err
		}
	}
	return nil
}

// Step runs one step, unless ctx has ended. Where ctx ended because work failed,
// the error is that work's.
func (s *Sequence) Step(ctx context.Context, name string, do func(ctx context.Context) error) error {
	err := ctx.Err()
	if err == nil {
		err = do(ctx)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if failure := s.takeFailures(); failure != nil {
			return failure
		}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// OnStop registers how to undo what a step has done. Its name says what that does
// and begins its error.
func (s *Sequence) OnStop(name string, undo func(ctx context.Context) error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.undo = append(s.undo, Step{Name: name, Do: undo})
}

// Background runs work that reports its errors itself. Stop ends its context when
// its turn has come, and waits for it.
func (s *Sequence) Background(name string, work ...func(ctx context.Context)) {
	failing := make([]func(context.Context) error, len(work))
	for i, run := range work {
		failing[i] = func(ctx context.Context) error { run(ctx); return nil }
	}
	s.Serve(name, failing...)
}

// Serve runs work whose failure ends the program. Stop ends the context of all of
// it at once when its turn has come, and waits for it. Work may end before that
// without an error.
func (s *Sequence) Serve(name string, work ...func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range work {
		running.Go(func() {
			err := run(ctx)
			if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
				s.fail(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	s.OnStop(name, func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

// Wait returns when ctx ends, or with the error of the first work that fails.
func (s *Sequence) Wait(ctx context.Context) error {
	select {
	case <-s.failed:
	case <-ctx.Done():
	}
	return s.takeFailures()
}

// Stop undoes what was started, the last first. It goes on after an error, and
// returns all of them, also of work that has failed meanwhile. What it has undone
// is not undone again by a second call.
func (s *Sequence) Stop(ctx context.Context) error {
	s.mutex.Lock()
	undo := s.undo
	s.undo = nil
	s.mutex.Unlock()
	var failures []error
	for _, step := range slices.Backward(undo) {
		if err := step.Do(ctx); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", step.Name, err))
		}
	}
	s.cancel(nil)
	return errors.Join(append(failures, s.takeFailures())...)
}

func (s *Sequence) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failures = append(s.failures, err)
	select {
	case <-s.failed:
	default:
		close(s.failed)
	}
	s.cancel(err)
}

// takeFailures returns the failures that were not returned yet, the first first.
func (s *Sequence) takeFailures() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	failures := s.failures
	s.failures = nil
	return errors.Join(failures...)
}
