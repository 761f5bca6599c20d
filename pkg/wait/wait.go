// Package wait waits for a length of time or for the end of a context.
package wait

import (
	"context"
	"time"
)

// For waits for a length of time. It returns false, at once, if ctx ends before that.
func For(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
