package usage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// maxTeamPoints is about how many points a series has at most.
	maxTeamPoints = 200
	// maxMetricsTime is the longest span.
	maxMetricsTime = 31 * 24 * time.Hour
	// defaultTeamTime is the length of a span that names no start.
	defaultTeamTime = 24 * time.Hour
)

// TeamMetric describes what a team ran in one step of time.
type TeamMetric struct {
	// At is the end of the step.
	At time.Time
	// Concurrent is the most sandboxes that ran at once.
	Concurrent int32
	// StartRate is how many a second have begun to run.
	StartRate float64
}

// TeamMetrics counts what a team ran, from its first day on. The last step ends where
// the span does.
func (u *Service) TeamMetrics(ctx context.Context, teamID uuid.UUID, span Span) ([]TeamMetric, error) {
	span, err := teamSpan(span)
	if err != nil {
		return nil, err
	}
	createdAt, err := newStore(u.pool).createdAt(ctx, teamID)
	if err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	if firstDay := createdAt.UTC().Truncate(day); span.Start.Before(firstDay) {
		span.Start = firstDay
	}
	if span.End.Before(span.Start) {
		return []TeamMetric{}, nil
	}
	step := span.Step(maxTeamPoints)
	beforeLast := span.End.Sub(span.Start).Truncate(step) - step
	ends := Span{Start: span.End.Add(-max(0, beforeLast)), End: span.End}
	return newStore(u.pool).metrics(ctx, teamID, ends, step)
}

// Peak is a maximum and the moment of it.
type Peak struct {
	At    time.Time
	Value float64
}

// MaxConcurrent is the most sandboxes that a team had running at once, exactly.
func (u *Service) MaxConcurrent(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
	span, err := teamSpan(span)
	if err != nil {
		return Peak{}, err
	}
	return newStore(u.pool).maxConcurrent(ctx, teamID, span)
}

// MaxStartRate is the most sandboxes a second that a team has started.
func (u *Service) MaxStartRate(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
	span, err := teamSpan(span)
	if err != nil {
		return Peak{}, err
	}
	return newStore(u.pool).maxStartRate(ctx, teamID, span, span.Step(maxTeamPoints))
}

// teamSpan fills in the last day.
func teamSpan(span Span) (Span, error) {
	now := time.Now()
	start := now.Add(-defaultTeamTime)
	if !span.End.IsZero() {
		start = span.End.Add(-defaultTeamTime)
	}
	span, err := span.Within(start, now)
	if err == nil && span.End.Sub(span.Start) > maxMetricsTime {
		err = fault.New(fault.Invalid, "end must be at most %d days after start", int(maxMetricsTime.Hours()/24))
	}
	return span, err
}
