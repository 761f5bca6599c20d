package channels

import (
	"net/netip"
	"time"
)

// SetDelay replaces the time between two attempts.
func (w *Worker) SetDelay(delay func(attempt int32) time.Duration) { w.delay = delay }

// BackOff is the time that follows an attempt.
func BackOff(attempt int32) time.Duration { return backOff(attempt) }

// IsPublic says whether messages go to an address.
func IsPublic(address netip.Addr) bool { return isPublic(address) }

// Attempts is how many a delivery has.
const Attempts = maxAttempts
