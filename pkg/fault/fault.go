// Package fault is the error that clients may see: a code for programs and a message for
// people. Other errors are internal; their text is only logged.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of a fault.
type Code string

// The codes, each with its HTTP status in internal/api.
const (
	Invalid         Code = "invalid"         // the request itself is wrong
	Unauthenticated Code = "unauthenticated" // no credential, or a wrong one
	Forbidden       Code = "forbidden"       // the credential does not allow it
	PaymentRequired Code = "payment_required"
	NotFound        Code = "not_found"
	Conflict        Code = "conflict" // not in this state
	TooLarge        Code = "too_large"
	Exhausted       Code = "exhausted"    // no capacity is left
	RateLimited     Code = "rate_limited" // too often; see RetryAfter
	Unavailable     Code = "unavailable"  // a part of Wrenn cannot be reached; try again
	Timeout         Code = "timeout"
	Internal        Code = "internal"
	Unsupported     Code = "unsupported" // Wrenn does not have this feature
)

// Reason refines a code, for programs.
type Reason string

// The reasons. internal/api maps each to the error_code of answers.
const (
	// Busy: another operation on the sandbox did not end in time.
	Busy Reason = "busy"
	// WrongState: the operation is not possible in the sandbox's state.
	WrongState Reason = "wrong_state"
	// Broken: the sandbox's host can no longer use it.
	Broken Reason = "broken"
	// Killed: the sandbox was killed meanwhile.
	Killed Reason = "killed"
	// MachineEnded: the sandbox's VM ended meanwhile.
	MachineEnded Reason = "machine_ended"
	// NoCapacity: no host has free capacity.
	NoCapacity Reason = "no_capacity"
	// NoCompatibleHost: no host can run what is asked for.
	NoCompatibleHost Reason = "no_compatible_host"
	// IsolationDenied: the team demands another isolation.
	IsolationDenied Reason = "isolation_denied"
	// PlacementTimeout: a host did not start the sandbox in time.
	PlacementTimeout Reason = "placement_timeout"
	// CreateFailed: a host failed to create the sandbox; another attempt may succeed.
	CreateFailed Reason = "create_failed"
	// CreateRefused: no attempt to create the sandbox can succeed.
	CreateRefused Reason = "create_refused"
	// GuestUnresponsive: the guest agent did not answer.
	GuestUnresponsive Reason = "guest_unresponsive"
	// GuestUnresponsiveAtPause: the guest agent did not answer when the memory to be
	// resumed was saved.
	GuestUnresponsiveAtPause Reason = "guest_unresponsive_at_pause"
	// TeamLimit: the team has reached a limit.
	TeamLimit Reason = "team_limit"
	// SecretLimit: the team has reached its number of secrets.
	SecretLimit Reason = "secret_limit"
	// IdempotencyMismatch, IdempotencyInProgress and IdempotencyUnknown: the key was used
	// with another request, with one in progress, or with one whose outcome is unknown.
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
	// RetryAfter is the delay before another attempt; zero where it is not known.
	RetryAfter time.Duration
	// Limit is the burst of the limit that was exceeded; zero where it is not known.
	Limit int
	cause error
}

// New makes a fault with a message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault with a cause, which is only logged.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// Because sets the reason of a fault.
func (e *Error) Because(reason Reason) *Error {
	e.Reason = reason
	return e
}

// TooSoon makes a fault of code RateLimited.
func TooSoon(wait time.Duration, format string, args ...any) *Error {
	return &Error{Code: RateLimited, Message: fmt.Sprintf(format, args...), RetryAfter: wait}
}

// Error is the message with the cause, for the log.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf is the code of the fault in err's chain, Internal where there is none, and "" for
// nil.
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

// ReasonOf is the reason of the fault in err's chain, "" where there is none.
func ReasonOf(err error) Reason {
	var fault *Error
	if errors.As(err, &fault) {
		return fault.Reason
	}
	return ""
}
