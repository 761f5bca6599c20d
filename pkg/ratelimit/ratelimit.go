// Package ratelimit carries what is left of a limit from where it is counted to
// where clients are told.
package ratelimit

import (
	"context"
	"time"
)

// Standing is how a client stands with a limit.
type Standing struct {
	// Limit is how often something may be done at once.
	Limit int
	// Remaining is how often it may be done now.
	Remaining int
	// Reset is when Remaining is Limit again, or, where it is none, when there will
	// be one.
	Reset time.Duration
}

type listenerKey struct{}

// WithListener has Tell call a function, in the goroutine that calls Tell.
func WithListener(ctx context.Context, listen func(Standing)) context.Context {
	return context.WithValue(ctx, listenerKey{}, listen)
}

// Tell says how the client stands on whose behalf something is done.
func Tell(ctx context.Context, standing Standing) {
	if listen, listens := ctx.Value(listenerKey{}).(func(Standing)); listens {
		listen(standing)
	}
}
