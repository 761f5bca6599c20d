// Package ratelimit limits how often clients may do something: Limiter by any key,
// Attempts by account and network. A Standing is what is left of a limit; WithListener
// and Tell carry it from the code that counts to the headers of the answer.
package ratelimit

import (
	"context"
	"time"
)

// Standing is what is left of a client's limit.
type Standing struct {
	// Limit is the burst.
	Limit int
	// Remaining is how many uses are allowed now.
	Remaining int
	// Reset is the time until Remaining is Limit again, or where Remaining is 0, until
	// it is 1.
	Reset time.Duration
}

type listenerKey struct{}

// WithListener makes Tell call a function, in the goroutine that calls Tell.
func WithListener(ctx context.Context, listen func(Standing)) context.Context {
	return context.WithValue(ctx, listenerKey{}, listen)
}

// Tell passes a standing to the listener of a context, if there is one.
func Tell(ctx context.Context, standing Standing) {
	if listen, listens := ctx.Value(listenerKey{}).(func(Standing)); listens {
		listen(standing)
	}
}
