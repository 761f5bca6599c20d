package auth

import (
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// maxLimited bounds a Limiter's memory, to some megabytes.
const maxLimited = 50_000

// Limiter bounds how often each of many may do something, such as try a
// password: burst times at once, and then once every interval. It is the generic
// cell rate algorithm: of each there is only the time at which it will have paid
// for all that it did.
type Limiter struct {
	burst    int
	interval time.Duration
	now      func() time.Time

	mutex sync.Mutex
	paid  map[string]time.Time
}

// NewLimiter makes a Limiter.
func NewLimiter(burst int, interval time.Duration) *Limiter {
	return &Limiter{burst: burst, interval: interval, now: time.Now, paid: map[string]time.Time{}}
}

// Check answers a fault where who may do nothing more for now. It counts nothing.
func (l *Limiter) Check(who string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.check(who)
}

// Take counts one more time, or answers a fault where that is too often.
func (l *Limiter) Take(who string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := l.check(who); err != nil {
		return err
	}
	now, paid := l.now(), l.paid[who]
	if paid.Before(now) {
		paid = now
	}
	if _, known := l.paid[who]; !known && len(l.paid) >= maxLimited {
		l.makeRoom(now)
	}
	l.paid[who] = paid.Add(l.interval)
	return nil
}

// Refund takes back one time that Take counted.
func (l *Limiter) Refund(who string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if paid, known := l.paid[who]; known {
		l.paid[who] = paid.Add(-l.interval)
	}
}

// Forgive forgets all that was counted.
func (l *Limiter) Forgive(who string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.paid, who)
}

func (l *Limiter) check(who string) error {
	wait := l.paid[who].Add(-time.Duration(l.burst-1) * l.interval).Sub(l.now())
	if wait <= 0 {
		return nil
	}
	refusal := fault.TooSoon(wait, "too many attempts; try again later")
	refusal.Limit = l.burst
	return refusal
}

// makeRoom drops who has paid, and a tenth of the others where all are in debt:
// with so many, no one of them is let through often.
func (l *Limiter) makeRoom(now time.Time) {
	for who, paid := range l.paid {
		if paid.Before(now) {
			delete(l.paid, who)
		}
	}
	for who := range l.paid {
		if len(l.paid) <= maxLimited-maxLimited/10 {
			return
		}
		delete(l.paid, who)
	}
}
