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

// Error is a fault.
type Error struct {
	Code    Code
	Message string
	// RetryAfter is how long to wait before trying again; zero where nobody knows.
	RetryAfter time.Duration
	cause      error
}

// New makes a fault.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault out of an error, which stays visible in the log only.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
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
