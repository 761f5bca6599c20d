// Package fault is the one kind of error that the outside is meant to see: a
// code that a machine decides on and a message for a human. An error that is not
// a fault is internal, and its text is for the log only.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of thing went wrong.
type Code string

// The codes, each with its HTTP status in internal/api.
const (
	Invalid         Code = "invalid"         // the request itself is wrong
	Unauthenticated Code = "unauthenticated" // no credential, or a wrong one
	Forbidden       Code = "forbidden"       // a credential that is not enough
	PaymentRequired Code = "payment_required"
	NotFound        Code = "not_found"
	Conflict        Code = "conflict" // not in this state
	TooLarge        Code = "too_large"
	Exhausted       Code = "exhausted"    // no room for more
	RateLimited     Code = "rate_limited" // too often; see RetryAfter
	Unavailable     Code = "unavailable"  // a part of Wrenn is away; try again
	Timeout         Code = "timeout"
	Internal        Code = "internal"
	Unsupported     Code = "unsupported" // Wrenn cannot do this at all
)

// Reason says more exactly than a code what went wrong, for machines.
type Reason string

// The reasons, each with what clients are told of it in internal/api. A fault with
// none has nothing to add to its code.
const (
	// Busy: another operation on the sandbox did not end in time.
	Busy Reason = "busy"
	// WrongState: the sandbox rests in a state in which this cannot be done.
	WrongState Reason = "wrong_state"
	// Broken: the sandbox's host keeps it and cannot use it.
	Broken Reason = "broken"
	// Killed: the sandbox was killed meanwhile.
	Killed Reason = "killed"
	// MachineEnded: the sandbox's VM ended meanwhile.
	MachineEnded Reason = "machine_ended"
	// NoCapacity: no host has room.
	NoCapacity Reason = "no_capacity"
	// NoCompatibleHost: no host can run what is asked for.
	NoCompatibleHost Reason = "no_compatible_host"
	// PlacementTimeout: a host did not start the sandbox in time.
	PlacementTimeout Reason = "placement_timeout"
	// CreateFailed: a host could not make the sandbox this time.
	CreateFailed Reason = "create_failed"
	// CreateRefused: a host will never make the sandbox.
	CreateRefused Reason = "create_refused"
	// GuestUnresponsive: the guest agent did not answer.
	GuestUnresponsive Reason = "guest_unresponsive"
	// GuestUnresponsiveAtPause: the memory to be resumed has a guest agent that did
	// not answer when it was written down.
	GuestUnresponsiveAtPause Reason = "guest_unresponsive_at_pause"
	// TeamLimit: the team has as much as it may have.
	TeamLimit Reason = "team_limit"
	// SecretLimit: the team has as many secrets as it may have.
	SecretLimit Reason = "secret_limit"
	// IdempotencyMismatch, IdempotencyInProgress and IdempotencyUnknown: the key came
	// before with another request, with one that is under way, or with one of which
	// the outcome is not known.
	IdempotencyMismatch   Reason = "idempotency_mismatch"
	IdempotencyInProgress Reason = "idempotency_in_progress"
	IdempotencyUnknown    Reason = "idempotency_unknown"
)

// Error is a fault.
type Error struct {
	Code    Code
	Message string
	// Reason may be empty.
	Reason Reason
	// RetryAfter is how long to wait before trying again; zero where that is not known.
	RetryAfter time.Duration
	// Limit is how often may be done at once what was done too often; zero where
	// that is not known.
	Limit int
	cause error
}

// New makes a fault.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault out of an error, which stays visible in the log only.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// Because gives a fault its reason.
func (e *Error) Because(reason Reason) *Error {
	e.Reason = reason
	return e
}

// TooSoon makes the fault of a client that must wait before it tries again.
func TooSoon(wait time.Duration, format string, args ...any) *Error {
	return &Error{Code: RateLimited, Message: fmt.Sprintf(format, args...), RetryAfter: wait}
}

// Error is the message and, for the log, what caused it.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of the fault in err's chain, Internal where there is
// none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var fault *Error
	if errors.As(err, &fault) {
		return fault.Code
	}
	return Internal
}

// Is says whether err is a fault with this code.
func Is(err error, code Code) bool { return CodeOf(err) == code }

// ReasonOf returns the reason of the fault in err's chain, "" where there is none.
func ReasonOf(err error) Reason {
	var fault *Error
	if errors.As(err, &fault) {
		return fault.Reason
	}
	return ""
}
