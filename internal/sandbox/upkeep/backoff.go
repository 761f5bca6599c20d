package upkeep

import "time"

const (
	// retryEvery is how often the loop looks for what to retry.
	retryEvery = 2 * time.Second
	// longestRest is the longest time between two attempts.
	longestRest = time.Minute
)

// Backoff doubles the time between attempts that fail, from 2 seconds up to a minute. The
// zero value is due.
type Backoff struct {
	next time.Time
	rest time.Duration
}

// IsDue reports whether the next attempt is to be made.
func (b *Backoff) IsDue() bool { return !time.Now().Before(b.next) }

// Failed notes that an attempt has failed.
func (b *Backoff) Failed() {
	b.rest = min(max(retryEvery, 2*b.rest), longestRest)
	b.next = time.Now().Add(b.rest)
}
