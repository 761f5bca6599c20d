package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// InsertSamples stores samples. Those of a sandbox that is not stored are left out, and
// those of a moment that has one already.
func (s *Sandboxes) InsertSamples(ctx context.Context, samples []sandbox.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	var all rows.InsertSamplesParams
	for _, sample := range samples {
		all.SandboxIds = append(all.SandboxIds, sample.SandboxID)
		all.Ats = append(all.Ats, sample.At)
		all.CpuCounts = append(all.CpuCounts, sample.CPUCount)
		all.CpuUsedPcts = append(all.CpuUsedPcts, sample.CPUUsedPercent)
		all.MemUsed = append(all.MemUsed, sample.MemoryUsedBytes)
		all.MemTotal = append(all.MemTotal, sample.MemoryTotalBytes)
		all.MemCache = append(all.MemCache, sample.MemoryCacheBytes)
		all.DiskUsed = append(all.DiskUsed, sample.DiskUsedBytes)
		all.DiskTotal = append(all.DiskTotal, sample.DiskTotalBytes)
	}
	if err := s.queries.InsertSamples(ctx, all); err != nil {
		return fmt.Errorf("store samples: %w", err)
	}
	return nil
}

// Samples divides the time from start to end into steps and returns one sample for each
// step that has any: the last moment, the mean of the CPUs' use and the maximum of all
// else.
func (s *Sandboxes) Samples(ctx context.Context, sandboxID string, start, end time.Time, step time.Duration) ([]sandbox.Sample, error) {
	found, err := s.queries.ListSamples(ctx, rows.ListSamplesParams{SandboxID: sandboxID, StartAt: start, EndAt: end, Step: step})
	if err != nil {
		return nil, fmt.Errorf("list samples of sandbox %s: %w", sandboxID, err)
	}
	samples := make([]sandbox.Sample, len(found))
	for i, row := range found {
		samples[i] = fromSample(rows.SandboxSample{
			SandboxID: sandboxID, At: row.At, CPUCount: row.CPUCount, CpuUsedPct: row.CpuUsedPct,
			MemUsed: row.MemUsed, MemTotal: row.MemTotal, MemCache: row.MemCache, DiskUsed: row.DiskUsed, DiskTotal: row.DiskTotal,
		})
	}
	return samples, nil
}

// LatestSamples returns the last sample of each of a team's sandboxes that runs or can
// run again and has any.
func (s *Sandboxes) LatestSamples(ctx context.Context, teamID uuid.UUID, sandboxIDs []string) ([]sandbox.Sample, error) {
	found, err := s.queries.LatestSamples(ctx, rows.LatestSamplesParams{TeamID: teamID, SandboxIds: sandboxIDs})
	if err != nil {
		return nil, fmt.Errorf("list latest samples: %w", err)
	}
	samples := make([]sandbox.Sample, len(found))
	for i, row := range found {
		samples[i] = fromSample(row)
	}
	return samples, nil
}

// DeleteOldSamples deletes the samples of all sandboxes from before a time.
func (s *Sandboxes) DeleteOldSamples(ctx context.Context, before time.Time) error {
	if err := s.queries.DeleteOldSamples(ctx, before); err != nil {
		return fmt.Errorf("delete old samples: %w", err)
	}
	return nil
}

func fromSample(row rows.SandboxSample) sandbox.Sample {
	return sandbox.Sample{
		SandboxID: row.SandboxID, At: row.At, CPUCount: row.CPUCount, CPUUsedPercent: row.CpuUsedPct,
		MemoryUsedBytes: row.MemUsed, MemoryTotalBytes: row.MemTotal, MemoryCacheBytes: row.MemCache,
		DiskUsedBytes: row.DiskUsed, DiskTotalBytes: row.DiskTotal,
	}
}
