package extension

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// panicError is the error of a panic. Its text has the stack.
type panicError struct {
	reason any
	stack  []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.reason, e.stack) }

// brief returns the text of an error without a stack.
func brief(err error) string {
	const longest = 500
	text := err.Error()
	var panicked *panicError
	if errors.As(err, &panicked) {
		text = fmt.Sprintf("panic: %v", panicked.reason)
	}
	return text[:min(len(text), longest)]
}

// protect calls a function and returns its panic as an error.
func protect(call func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &panicError{reason, debug.Stack()}
		}
	}()
	return call()
}

// within calls an extension with a timeout. Go cannot end a call that exceeds it: it goes
// on in the background, and Stop waits for it again.
func (i *instance) within(ctx context.Context, limit time.Duration, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case i.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%d calls are unanswered: %w", cap(i.slots), ctx.Err())
	}
	answered := make(chan error, 1)
	go func() {
		defer func() { <-i.slots }()
		answered <- protect(func() error { return call(ctx) })
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// settle waits until no call is in progress.
func (i *instance) settle(ctx context.Context) error {
	for range cap(i.slots) {
		select {
		case i.slots <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("wait for calls in progress: %w", ctx.Err())
		}
	}
	return nil
}
