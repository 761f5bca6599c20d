package service

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// maxMetricPoints is about how many points a series has at most.
	maxMetricPoints = 1000
	// maxTeamPoints is the same for a team's, each of which is a count.
	maxTeamPoints = 200
	// maxMetricsTime bounds the work of one question.
	maxMetricsTime = 31 * 24 * time.Hour
	// defaultTeamTime is what a question about a team is about that names no start.
	defaultTeamTime = 24 * time.Hour
	// maxSandboxesAsked is about how many sandboxes one may ask at once.
	maxSandboxesAsked = 100
)

// Span is a time from one moment to another. A zero moment is not given.
type Span struct{ Start, End time.Time }

// within fills in what is not given.
func (p Span) within(start, end time.Time) (Span, error) {
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

// step is the time between about a number of points, in whole steps of sampling.
func (p Span) step(points int) time.Duration {
	exact := p.End.Sub(p.Start) / time.Duration(points)
	return max(sampleEvery, (exact + sampleEvery - 1).Truncate(sampleEvery))
}

// Metrics returns what a team's sandbox took, also when it is paused or over, in
// the order of time. Of a long time it tells less exactly.
func (s *Sandboxes) Metrics(ctx context.Context, teamID uuid.UUID, sandboxID string, span Span) ([]rows.ListSamplesRow, error) {
	sandbox, err := s.getEver(ctx, teamID, sandboxID)
	if err != nil {
		return nil, err
	}
	if span, err = span.within(sandbox.StartedAt.Truncate(sampleEvery), time.Now()); err != nil {
		return nil, err
	}
	// Nothing is older than this, or younger than now.
	if kept := time.Now().Add(-samplesKept); span.Start.Before(kept) {
		span.Start = kept
	}
	if soon := time.Now().Add(sampleEvery); span.End.After(soon) {
		span.End = soon
	}
	samples, err := s.Queries.ListSamples(ctx, rows.ListSamplesParams{
		SandboxID: sandboxID, StartAt: span.Start, EndAt: span.End, Step: span.step(maxMetricPoints),
	})
	if err != nil {
		return nil, fmt.Errorf("list samples of sandbox %s: %w", sandboxID, err)
	}
	return samples, nil
}

// LatestMetrics returns the last sample of each of a team's sandboxes. Those that
// are not the team's, or have none, are left out.
func (s *Sandboxes) LatestMetrics(ctx context.Context, teamID uuid.UUID, sandboxIDs []string) ([]rows.SandboxSample, error) {
	if len(sandboxIDs) > maxSandboxesAsked {
		return nil, fault.New(fault.Invalid, "sandbox_ids must be at most %d", maxSandboxesAsked)
	}
	samples, err := s.Queries.LatestSamples(ctx, rows.LatestSamplesParams{TeamID: teamID, SandboxIds: sandboxIDs})
	if err != nil {
		return nil, fmt.Errorf("list latest samples: %w", err)
	}
	return samples, nil
}

// TeamMetric is a team in the time from the metric before to a moment.
type TeamMetric struct {
	At time.Time
	// Concurrent is the most sandboxes that ran at once.
	Concurrent int32
	// StartRate is how many a second have begun to run.
	StartRate float64
}

// TeamMetrics counts what a team had running, from its first day on. The last metric
// is of the time that ends where the span does.
func (u *Usage) TeamMetrics(ctx context.Context, teamID uuid.UUID, span Span) ([]TeamMetric, error) {
	span, err := teamSpan(span)
	if err != nil {
		return nil, err
	}
	team, err := u.Queries.GetTeam(ctx, teamID)
	if err != nil {
		return nil, fmt.Errorf("get team %s: %w", teamID, err)
	}
	const day = 24 * time.Hour
	if firstDay := team.CreatedAt.UTC().Truncate(day); span.Start.Before(firstDay) {
		span.Start = firstDay
	}
	if span.End.Before(span.Start) {
		return []TeamMetric{}, nil
	}
	step := span.step(maxTeamPoints)
	beforeLast := span.End.Sub(span.Start).Truncate(step) - step
	found, err := u.Queries.ListTeamMetrics(ctx, rows.ListTeamMetricsParams{
		TeamID: teamID, Step: step, StartAt: span.End.Add(-max(0, beforeLast)), EndAt: span.End,
	})
	if err != nil {
		return nil, fmt.Errorf("list the metrics of team %s: %w", teamID, err)
	}
	metrics := make([]TeamMetric, 0, len(found))
	for _, row := range found {
		metrics = append(metrics, TeamMetric{At: row.At, Concurrent: row.Concurrent, StartRate: float64(row.Started) / step.Seconds()})
	}
	return metrics, nil
}

// Peak is the most that was reached, and when.
type Peak struct {
	At    time.Time
	Value float64
}

// MaxConcurrent is the most sandboxes that a team had running at once, exactly.
func (u *Usage) MaxConcurrent(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
	span, err := teamSpan(span)
	if err != nil {
		return Peak{}, err
	}
	row, err := u.Queries.MaxConcurrent(ctx, rows.MaxConcurrentParams{TeamID: teamID, StartAt: span.Start, EndAt: span.End})
	if err != nil {
		return Peak{}, fmt.Errorf("find the most sandboxes of team %s: %w", teamID, err)
	}
	return Peak{At: row.At, Value: float64(row.Value)}, nil
}

// MaxStartRate is the most sandboxes a second that a team has started.
func (u *Usage) MaxStartRate(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
	span, err := teamSpan(span)
	if err != nil {
		return Peak{}, err
	}
	step := span.step(maxTeamPoints)
	row, err := u.Queries.MaxStarts(ctx, rows.MaxStartsParams{TeamID: teamID, Step: step, StartAt: span.Start, EndAt: span.End})
	if err != nil {
		return Peak{}, fmt.Errorf("find the most starts of team %s: %w", teamID, err)
	}
	return Peak{At: row.At, Value: float64(row.Value) / step.Seconds()}, nil
}

func teamSpan(span Span) (Span, error) {
	now := time.Now()
	start := now.Add(-defaultTeamTime)
	if !span.End.IsZero() {
		start = span.End.Add(-defaultTeamTime)
	}
	span, err := span.within(start, now)
	if err == nil && span.End.Sub(span.Start) > maxMetricsTime {
		err = fault.New(fault.Invalid, "end must be at most %d days after start", int(maxMetricsTime.Hours()/24))
	}
	return span, err
}
