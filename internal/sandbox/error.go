package sandbox

import (
	"errors"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// Errors that callers decide on; those of packages catalog, admission and guest are
// beside them.
var (
	ErrNotFound     = errors.New("sandbox not found")
	ErrExists       = errors.New("sandbox already exists")
	ErrInvalid      = errors.New("invalid request")
	ErrUnresponsive = errors.New("the guest agent in the memory did not answer when it was written down")
	ErrClosed       = errors.New("the host agent is shutting down")
)

// ConflictError is returned for a sandbox whose state does not allow what was asked.
type ConflictError struct {
	ID     string
	State  state.State
	Wanted string
}

// Busy reports whether another operation is under way.
func (e *ConflictError) Busy() bool { return !e.State.Settled() }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("sandbox %s is %s and cannot %s", e.ID, e.State, e.Wanted)
}
