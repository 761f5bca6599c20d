package usage

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

const (
	// sampleEvery is how far apart stored samples are.
	SampleEvery = 5 * time.Second
	// sampleParallelism is how many hosts are asked at once.
	sampleParallelism = 8
	// samplesKept and logsKept are for how long samples and logs are kept.
	SamplesKept = 3 * 24 * time.Hour
	logsKept    = 30 * 24 * time.Hour
	// tidyEvery is how often what is too old is deleted.
	tidyEvery = time.Minute
)

// SampleSource tells what the sandboxes of a host take.
type SampleSource interface {
	LatestSamples(ctx context.Context, sandboxIDs ...string) ([]host.Samples, error)
}

// Sampler stores what running sandboxes take, so that it can be asked for when
// they are paused, and deletes what is too old. Any number of control planes may
// do so: what one has stored, another leaves.
type Sampler struct {
	Queries *rows.Queries
	// Sources are the hosts that can be asked now.
	Sources func() map[uuid.UUID]SampleSource
	// SweepSnapshots deletes what is left of snapshots that were never finished.
	SweepSnapshots func(ctx context.Context) error
	Log            *slog.Logger
}

// Run samples until ctx ends.
func (m *Sampler) Run(ctx context.Context) {
	sample := time.NewTicker(SampleEvery)
	defer sample.Stop()
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sample.C:
			m.Sample(ctx)
		case <-tidy.C:
			if err := m.Tidy(ctx); err != nil && ctx.Err() == nil {
				m.Log.Warn("delete what is too old", "error", err)
			}
		}
	}
}

// Sample asks every host once.
func (m *Sampler) Sample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, SampleEvery)
	defer cancel()
	var hosts errgroup.Group
	hosts.SetLimit(sampleParallelism)
	for hostID, source := range m.Sources() {
		hosts.Go(func() error {
			if err := m.sampleHost(ctx, source); err != nil && ctx.Err() == nil {
				m.Log.Debug("sample a host", "host", hostID, "error", err)
			}
			return nil
		})
	}
	_ = hosts.Wait()
}

func (m *Sampler) sampleHost(ctx context.Context, source SampleSource) error {
	all, err := source.LatestSamples(ctx)
	if err != nil {
		return err
	}
	var found rows.InsertSamplesParams
	for _, of := range all {
		if len(of.Samples) > 0 {
			addSample(&found, of, of.Samples[len(of.Samples)-1])
		}
	}
	if len(found.SandboxIds) == 0 {
		return nil
	}
	if err := m.Queries.InsertSamples(ctx, found); err != nil {
		return fmt.Errorf("store samples: %w", err)
	}
	return nil
}

// addSample takes what the guest says of memory and disk, which is what its
// programs see, over what its host has measured.
func addSample(found *rows.InsertSamplesParams, of host.Samples, sample host.Sample) {
	memory := [3]int64{sample.MemoryBytes, of.MemoryLimitBytes, 0}
	disk := [2]int64{sample.DiskAllocatedBytes, of.DiskLimitBytes}
	if guest := sample.Guest; guest != nil && guest.MemoryTotalBytes > 0 {
		memory = [3]int64{guest.MemoryUsedBytes, guest.MemoryTotalBytes, guest.MemoryCacheBytes}
		disk = [2]int64{guest.DiskUsedBytes, guest.DiskTotalBytes}
	}
	found.SandboxIds = append(found.SandboxIds, of.SandboxID)
	// Control planes that ask within one step store one sample.
	found.Ats = append(found.Ats, sample.At.Truncate(SampleEvery))
	found.CpuCounts = append(found.CpuCounts, of.VCPUCount)
	found.CpuUsedPcts = append(found.CpuUsedPcts, float32(sample.CPUUsedPercent))
	found.MemUsed = append(found.MemUsed, memory[0])
	found.MemTotal = append(found.MemTotal, memory[1])
	found.MemCache = append(found.MemCache, memory[2])
	found.DiskUsed = append(found.DiskUsed, disk[0])
	found.DiskTotal = append(found.DiskTotal, disk[1])
}

// Tidy deletes samples and logs that are too old and what is left of snapshots
// that were never finished.
func (m *Sampler) Tidy(ctx context.Context) error {
	if err := m.Queries.DeleteOldSamples(ctx, time.Now().Add(-SamplesKept)); err != nil {
		return fmt.Errorf("delete old samples: %w", err)
	}
	if err := m.Queries.DeleteOldLogs(ctx, time.Now().Add(-logsKept)); err != nil {
		return fmt.Errorf("delete old logs: %w", err)
	}
	return m.SweepSnapshots(ctx)
}
