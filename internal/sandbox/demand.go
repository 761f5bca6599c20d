package sandbox

import (
	"math"
	"time"
)

// demand is how many creates there were lately: each counts for less the longer
// it is ago. The zero value is none.
type demand struct {
	weight float64
	at     time.Time
}

const (
	// demandMemory is how long ago a create is when it counts for a third.
	demandMemory = time.Minute
	// createsPerClone is how many recent creates ask for one clone more.
	createsPerClone = 4
)

func (d demand) plusOne(now time.Time) demand { return demand{weight: d.recent(now) + 1, at: now} }

func (d demand) recent(now time.Time) float64 {
	return d.weight * math.Exp(-now.Sub(d.at).Seconds()/demandMemory.Seconds())
}

// clones is how many should be ready: one for the next create that nobody
// expects, and more while there are many.
func (d demand) clones(now time.Time) int { return 1 + int(d.recent(now)/createsPerClone) }
