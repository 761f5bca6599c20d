package sandboxes

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

const (
	// maxMetricPoints is about how many points a series has at most.
	maxMetricPoints = 1000
	// maxSandboxesAsked is about how many sandboxes one may ask at once.
	maxSandboxesAsked = 100
)

// Metrics returns what a team's sandbox took, also when it is paused or over, in
// the order of time. Of a long time it tells less exactly.
func (s *Service) Metrics(ctx context.Context, teamID uuid.UUID, sandboxID string, span usage.Span) ([]rows.ListSamplesRow, error) {
	sandbox, err := s.getEver(ctx, teamID, sandboxID)
	if err != nil {
		return nil, err
	}
	if span, err = span.Within(sandbox.StartedAt.Truncate(usage.SampleEvery), time.Now()); err != nil {
		return nil, err
	}
	// Nothing is older than this, or younger than now.
	if kept := time.Now().Add(-usage.SamplesKept); span.Start.Before(kept) {
		span.Start = kept
	}
	if soon := time.Now().Add(usage.SampleEvery); span.End.After(soon) {
		span.End = soon
	}
	samples, err := s.Queries.ListSamples(ctx, rows.ListSamplesParams{
		SandboxID: sandboxID, StartAt: span.Start, EndAt: span.End, Step: span.Step(maxMetricPoints),
	})
	if err != nil {
		return nil, fmt.Errorf("list samples of sandbox %s: %w", sandboxID, err)
	}
	return samples, nil
}

// LatestMetrics returns the last sample of each of a team's sandboxes. Those that
// are not the team's, or have none, are left out.
func (s *Service) LatestMetrics(ctx context.Context, teamID uuid.UUID, sandboxIDs []string) ([]rows.SandboxSample, error) {
	if len(sandboxIDs) > maxSandboxesAsked {
		return nil, fault.New(fault.Invalid, "sandbox_ids must be at most %d", maxSandboxesAsked)
	}
	samples, err := s.Queries.LatestSamples(ctx, rows.LatestSamplesParams{TeamID: teamID, SandboxIds: sandboxIDs})
	if err != nil {
		return nil, fmt.Errorf("list latest samples: %w", err)
	}
	return samples, nil
}
