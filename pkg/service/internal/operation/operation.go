// Package operation bounds and repeats what the services do on hosts and in the
// database.
package operation

import (
	"context"
	"errors"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// Timeout bounds one operation on a host: a pause writes all the memory of a sandbox
// to disk.
const Timeout = 2 * time.Minute

// firstDelay is the delay before the second attempt of Retry. It doubles each time.
const firstDelay = 10 * time.Millisecond

// ErrOvertaken is returned where a row was changed by another request or process since
// it was read.
var ErrOvertaken = store.ErrOvertaken

// Detach gives an operation that must come to its end, whatever the client does, a
// context that lasts for Timeout.
func Detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), Timeout)
}

// Retry repeats act while it answers ErrOvertaken, up to eight times.
func Retry(ctx context.Context, act func() error) error {
	const attempts = 8
	for attempt, delay := 1, firstDelay; ; attempt, delay = attempt+1, 2*delay {
		err := act()
		switch {
		case !errors.Is(err, ErrOvertaken):
			return err
		case attempt == attempts:
			return fault.New(fault.Conflict, "other requests keep changing it; try again").Because(fault.Busy)
		case !wait.For(ctx, delay):
			return ctx.Err()
		}
	}
}
