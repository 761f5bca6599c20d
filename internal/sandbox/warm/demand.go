package warm

import (
	"math"
	"time"
)

// demand is the number of creates, each of which counts less as time passes. The zero value
// is none.
type demand struct {
	recently weight // decides how many clones are ready
	lately   weight // decides which builds have any
}

// weight is a sum whose parts count for 1/e, about a third, at an age.
type weight struct {
	value float64
	at    time.Time
}

const (
	recently = time.Minute
	lately   = 30 * time.Minute
	// createsPerClone is how many recent creates ask for one clone more.
	createsPerClone = 4
	// inUse is how many creates there must have been lately for a build to be in use: more
	// than one.
	inUse = 1.5
)

func (w weight) now(now time.Time, age time.Duration) float64 {
	return w.value * math.Exp(-now.Sub(w.at).Seconds()/age.Seconds())
}

func (w weight) plusOne(now time.Time, age time.Duration) weight {
	return weight{value: w.now(now, age) + 1, at: now}
}

func (d demand) plusOne(now time.Time) demand {
	return demand{d.recently.plusOne(now, recently), d.lately.plusOne(now, lately)}
}

// clones is how many clones of what always has one are to be ready: more with demand.
func (d demand) clones(now time.Time) int {
	return 1 + int(d.recently.now(now, recently)/createsPerClone)
}

// isUsed reports whether a build is in use.
func (d demand) isUsed(now time.Time) bool { return d.lately.now(now, lately) >= inUse }
