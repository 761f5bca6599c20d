package usage

import (
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Span is a time from one moment to another. A zero moment is not given.
type Span struct{ Start, End time.Time }

// Within fills in what is not given.
func (p Span) Within(start, end time.Time) (Span, error) {
	if p.Start.IsZero() {
		p.Start = start
	}
	if p.End.IsZero() {
		p.End = end
	}
	if p.End.Before(p.Start) {
		return p, fault.New(fault.Invalid, "start must not be after end")
	}
	return p, nil
}

// Step is the time between about a number of points, in whole steps of sampling.
func (p Span) Step(points int) time.Duration {
	exact := p.End.Sub(p.Start) / time.Duration(points)
	return max(SampleEvery, (exact + SampleEvery - 1).Truncate(SampleEvery))
}
