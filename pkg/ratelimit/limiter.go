package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// maxBuckets bounds a Limiter's memory, to some megabytes.
const maxBuckets = 50_000

// Limiter limits how often something may be done for each key, such as the attempts at
// a password from each address: a burst, and then once in each interval.
type Limiter struct {
	burst    int
	interval time.Duration
	now      func() time.Time

	mutex   sync.Mutex
	buckets map[string]*rate.Limiter // by key; one that is missing is full
}

// NewLimiter makes a Limiter.
func NewLimiter(burst int, interval time.Duration) *Limiter {
	return &Limiter{burst: burst, interval: interval, now: time.Now, buckets: map[string]*rate.Limiter{}}
}

// Check returns a fault where Take would. It counts nothing.
func (l *Limiter) Check(key string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := l.now()
	if bucket, known := l.buckets[key]; known && l.wait(bucket, now) > 0 {
		return l.refusal(bucket, now)
	}
	return nil
}

// Take counts one use, or returns a fault that says when the next is allowed.
func (l *Limiter) Take(key string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := l.now()
	bucket, known := l.buckets[key]
	if !known {
		if len(l.buckets) >= maxBuckets {
			l.makeRoom(now)
		}
		bucket = rate.NewLimiter(rate.Every(l.interval), l.burst)
		l.buckets[key] = bucket
	}
	if !bucket.AllowN(now, 1) {
		return l.refusal(bucket, now)
	}
	return nil
}

// Refund takes back one use that Take counted.
func (l *Limiter) Refund(key string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if bucket, known := l.buckets[key]; known {
		bucket.AllowN(l.now(), -1) // a negative count adds a token
	}
}

// Forget takes back all uses that Take counted.
func (l *Limiter) Forget(key string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.buckets, key)
}

// wait is the time until a bucket has a token. It is rounded because the bucket counts
// in floating point.
func (l *Limiter) wait(bucket *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - bucket.TokensAt(now)
	return time.Duration(missing * float64(l.interval)).Round(time.Microsecond)
}

func (l *Limiter) refusal(bucket *rate.Limiter, now time.Time) error {
	refusal := fault.TooSoon(max(l.wait(bucket, now), time.Microsecond), "too many attempts; try again later")
	refusal.Limit = l.burst
	return refusal
}

// makeRoom drops full buckets, and a tenth of the others where none is full: with so
// many keys, none of them gains much.
func (l *Limiter) makeRoom(now time.Time) {
	for key, bucket := range l.buckets {
		if bucket.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) <= maxBuckets-maxBuckets/10 {
			return
		}
		delete(l.buckets, key)
	}
}
