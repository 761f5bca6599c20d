package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// maxTeamPoints is about how many points a series has at most.
	maxTeamPoints = 200
	// maxMetricsTime bounds the work of one question.
	maxMetricsTime = 31 * 24 * time.Hour
	// defaultTeamTime is what a question about a team is about that names no start.
	defaultTeamTime = 24 * time.Hour
)

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
func (u *Service) TeamMetrics(ctx context.Context, teamID uuid.UUID, span Span) ([]TeamMetric, error) {
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
	step := span.Step(maxTeamPoints)
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
func (u *Service) MaxConcurrent(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
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
func (u *Service) MaxStartRate(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
	span, err := teamSpan(span)
	if err != nil {
		return Peak{}, err
	}
	step := span.Step(maxTeamPoints)
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
	span, err := span.Within(start, now)
	if err == nil && span.End.Sub(span.Start) > maxMetricsTime {
		err = fault.New(fault.Invalid, "end must be at most %d days after start", int(maxMetricsTime.Hours()/24))
	}
	return span, err
}
