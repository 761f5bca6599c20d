package usage

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

const (
	// SampleEvery is the time between stored samples.
	SampleEvery = 5 * time.Second
	// sampleParallelism is how many hosts are asked at once.
	sampleParallelism = 8
	// SamplesKept and logsKept are for how long samples and logs are kept.
	SamplesKept = 3 * 24 * time.Hour
	logsKept    = 30 * 24 * time.Hour
	// tidyEvery is how often what is too old is deleted.
	tidyEvery = time.Minute
)

// SampleSource is a host that measures its sandboxes.
type SampleSource interface {
	LatestSamples(ctx context.Context, sandboxIDs ...string) ([]host.Samples, error)
}

// SampleStore keeps samples and logs.
type SampleStore interface {
	InsertSamples(ctx context.Context, samples []sandbox.Sample) error
	DeleteOldSamples(ctx context.Context, before time.Time) error
	DeleteOldLogs(ctx context.Context, before time.Time) error
}

// Sampler stores what running sandboxes take, so that it can be read when they are
// paused, and deletes what is too old. Any number of control planes may run one: a
// sample that one has stored, another leaves out.
type Sampler struct {
	sandboxes      SampleStore
	sources        func() map[uuid.UUID]SampleSource
	sweepSnapshots func(ctx context.Context) error
	log            *slog.Logger
}

// NewSampler samples the hosts that sources returns, those that can be asked now.
// sweepSnapshots deletes the remains of snapshots that were never finished.
func NewSampler(
	sandboxes SampleStore, sources func() map[uuid.UUID]SampleSource, sweepSnapshots func(context.Context) error, log *slog.Logger,
) *Sampler {
	return &Sampler{sandboxes: sandboxes, sources: sources, sweepSnapshots: sweepSnapshots, log: log}
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
				m.log.WarnContext(ctx, "delete what is too old", "error", err)
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
	for hostID, source := range m.sources() {
		hosts.Go(func() error {
			if err := m.sampleHost(ctx, source); err != nil && ctx.Err() == nil {
				m.log.DebugContext(ctx, "sample a host", "host", hostID, "error", err)
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
	var samples []sandbox.Sample
	for _, of := range all {
		if len(of.Samples) > 0 {
			samples = append(samples, sampleOf(of, of.Samples[len(of.Samples)-1]))
		}
	}
	return m.sandboxes.InsertSamples(ctx, samples)
}

// sampleOf prefers what the guest says of memory and disk, which is what its programs
// see, to what its host has measured.
func sampleOf(of host.Samples, measured host.Sample) sandbox.Sample {
	sample := sandbox.Sample{
		SandboxID: of.SandboxID,
		// Control planes that ask within one step store one sample.
		At:       measured.At.Truncate(SampleEvery),
		CPUCount: of.VCPUCount, CPUUsedPercent: float32(measured.CPUUsedPercent),
		MemoryUsedBytes: measured.MemoryBytes, MemoryTotalBytes: of.MemoryLimitBytes,
		DiskUsedBytes: measured.DiskAllocatedBytes, DiskTotalBytes: of.DiskLimitBytes,
	}
	if guest := measured.Guest; guest != nil && guest.MemoryTotalBytes > 0 {
		sample.MemoryUsedBytes, sample.MemoryTotalBytes, sample.MemoryCacheBytes = guest.MemoryUsedBytes, guest.MemoryTotalBytes, guest.MemoryCacheBytes
		sample.DiskUsedBytes, sample.DiskTotalBytes = guest.DiskUsedBytes, guest.DiskTotalBytes
	}
	return sample
}

// Tidy deletes samples and logs that are too old, and the remains of snapshots that were
// never finished.
func (m *Sampler) Tidy(ctx context.Context) error {
	if err := m.sandboxes.DeleteOldSamples(ctx, time.Now().Add(-SamplesKept)); err != nil {
		return err
	}
	if err := m.sandboxes.DeleteOldLogs(ctx, time.Now().Add(-logsKept)); err != nil {
		return err
	}
	return m.sweepSnapshots(ctx)
}
