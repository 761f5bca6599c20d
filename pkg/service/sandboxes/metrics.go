package sandboxes

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

const (
	// maxMetricPoints is about the most points of a series.
	maxMetricPoints = 1000
	// maxSandboxesAsked bounds the sandboxes of one request.
	maxSandboxesAsked = 100
)

// Metrics returns samples of a team's sandbox, also when it is paused or over, in the
// order of time. The longer the span, the longer the time that one sample is for.
func (s *Service) Metrics(ctx context.Context, teamID uuid.UUID, sandboxID string, span usage.Span) ([]sandbox.Sample, error) {
	found, err := s.getEver(ctx, teamID, sandboxID)
	if err != nil {
		return nil, err
	}
	if span, err = span.Within(found.StartedAt.Truncate(usage.SampleEvery), time.Now()); err != nil {
		return nil, err
	}
	// No sample is older than this, or younger than now.
	if kept := time.Now().Add(-usage.SamplesKept); span.Start.Before(kept) {
		span.Start = kept
	}
	if soon := time.Now().Add(usage.SampleEvery); span.End.After(soon) {
		span.End = soon
	}
	return s.store.Samples(ctx, sandboxID, span.Start, span.End, span.Step(maxMetricPoints))
}

// LatestMetrics returns the last sample of each of a team's sandboxes. Those that
// are not the team's, or have none, are left out.
func (s *Service) LatestMetrics(ctx context.Context, teamID uuid.UUID, sandboxIDs []string) ([]sandbox.Sample, error) {
	if len(sandboxIDs) > maxSandboxesAsked {
		return nil, fault.New(fault.Invalid, "sandbox_ids must be at most %d", maxSandboxesAsked)
	}
	return s.store.LatestSamples(ctx, teamID, sandboxIDs)
}
