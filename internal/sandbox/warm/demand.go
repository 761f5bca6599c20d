package warm

import (
	"math"
	"time"
)

// demand is the number of recent creates, each of which counts less as time passes. The
// zero value is none.
type demand struct {
	weight float64
	at     time.Time
}

const (
	// demandDecay is the age at which a create counts for 1/e, about a third.
	demandDecay = time.Minute
	// createsPerClone is how many recent creates ask for one clone more.
	createsPerClone = 4
)

func (d demand) plusOne(now time.Time) demand { return demand{weight: d.recent(now) + 1, at: now} }

func (d demand) recent(now time.Time) float64 {
	return d.weight * math.Exp(-now.Sub(d.at).Seconds()/demandDecay.Seconds())
}

// clones is how many clones are to be ready: one without any demand, and more with it.
func (d demand) clones(now time.Time) int { return 1 + int(d.recent(now)/createsPerClone) }
