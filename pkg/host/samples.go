package host

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Usage is what a sandbox has used in its whole life, without its pauses. It only grows.
type Usage struct {
	Running                time.Duration
	MemoryGiBSeconds       float64
	CPU                    time.Duration // of the host's CPUs
	DiskReadBytes          int64
	DiskWrittenBytes       int64
	NetworkReceivedBytes   int64 // bytes that came to the sandbox
	NetworkSentBytes       int64
	NetworkReceivedPackets int64
	NetworkSentPackets     int64
}

// Samples is what one sandbox has used, at several moments and in total.
type Samples struct {
	SandboxID        string
	VCPUCount        int32
	MemoryLimitBytes int64
	DiskLimitBytes   int64
	Usage            Usage
	Samples          []Sample // in the order of time
}

// Sample is what a sandbox uses at one moment. Counters are those of Usage.
type Sample struct {
	At time.Time
	// CPUUsedPercent, from 0 to 100, is of the sandbox's own virtual CPUs.
	CPUUsedPercent         float64
	CPU                    time.Duration
	MemoryBytes            int64 // of the host's memory, the VMM's included
	MemoryPeakBytes        int64
	DiskReadBytes          int64
	DiskWrittenBytes       int64
	DiskAllocatedBytes     int64
	NetworkReceivedBytes   int64
	NetworkSentBytes       int64
	NetworkReceivedPackets int64
	NetworkSentPackets     int64
	// Guest is the guest's last report; nil before the first.
	Guest *GuestSample
}

// GuestSample is a guest's report of itself. It may be false.
type GuestSample struct {
	At               time.Time
	MemoryUsedBytes  int64
	MemoryTotalBytes int64
	MemoryCacheBytes int64
	DiskUsedBytes    int64
	DiskTotalBytes   int64
}

// ListSamples returns the samples of sandboxes that are younger than since. Without IDs it
// is those of all sandboxes. A host keeps the samples of the last minutes.
func (c *Client) ListSamples(ctx context.Context, since time.Time, sandboxIDs ...string) ([]Samples, error) {
	request := &pb.ListSamplesRequest{SandboxIds: sandboxIDs}
	if !since.IsZero() {
		request.Since = timestamppb.New(since)
	}
	return c.listSamples(ctx, request)
}

// LatestSamples returns the last sample of each sandbox. Without IDs it is those of all.
func (c *Client) LatestSamples(ctx context.Context, sandboxIDs ...string) ([]Samples, error) {
	return c.listSamples(ctx, &pb.ListSamplesRequest{SandboxIds: sandboxIDs, LatestOnly: true})
}

func (c *Client) listSamples(ctx context.Context, request *pb.ListSamplesRequest) ([]Samples, error) {
	response, err := c.rpc.ListSamples(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, translate("list a host's samples", err)
	}
	all := make([]Samples, 0, len(response.Msg.Sandboxes))
	for _, s := range response.Msg.Sandboxes {
		samples := Samples{
			SandboxID: s.SandboxId, VCPUCount: int32(s.VcpuCount),
			MemoryLimitBytes: int64(s.MemoryLimitBytes), DiskLimitBytes: int64(s.DiskLimitBytes),
			Usage: fromUsage(s.Usage), Samples: make([]Sample, 0, len(s.Samples)),
		}
		for _, sample := range s.Samples {
			samples.Samples = append(samples.Samples, fromSample(sample))
		}
		all = append(all, samples)
	}
	return all, nil
}
