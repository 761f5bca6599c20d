package host

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// Usage is what a sandbox took in all its life, pauses apart. It only grows.
type Usage struct {
	Running                time.Duration
	MemoryGiBSeconds       float64
	CPU                    time.Duration // of the machine's CPUs
	DiskReadBytes          int64
	DiskWrittenBytes       int64
	NetworkReceivedBytes   int64 // bytes that came to the sandbox
	NetworkSentBytes       int64
	NetworkReceivedPackets int64
	NetworkSentPackets     int64
}

// Samples is what one sandbox took, moment by moment and in total.
type Samples struct {
	SandboxID        string
	VCPUCount        int32
	MemoryLimitBytes int64
	DiskLimitBytes   int64
	Usage            Usage
	Samples          []Sample // in the order of time
}

// Sample is a sandbox at one moment. Counters are those of Usage.
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
	// Guest is what the guest said of itself last; nil before it did.
	Guest *GuestSample
}

// GuestSample is what a guest says of itself: anything, within its own limits.
type GuestSample struct {
	At               time.Time
	MemoryUsedBytes  int64
	MemoryTotalBytes int64
	MemoryCacheBytes int64
	DiskUsedBytes    int64
	DiskTotalBytes   int64
}

// ListSamples asks for the samples of sandboxes, of all without an ID, that are
// younger than since; a host keeps those of the last minutes.
func (c *Client) ListSamples(ctx context.Context, since time.Time, sandboxIDs ...string) ([]Samples, error) {
	request := &pb.ListSamplesRequest{SandboxIds: sandboxIDs}
	if !since.IsZero() {
		request.Since = timestamppb.New(since)
	}
	return c.listSamples(ctx, request)
}

// LatestSamples asks for the last sample of each sandbox, of all without an ID.
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

func fromUsage(u *pb.Usage) Usage {
	return Usage{
		Running:          time.Duration(u.GetRunningSeconds() * float64(time.Second)),
		MemoryGiBSeconds: u.GetMemoryGibSeconds(), CPU: time.Duration(u.GetCpuNanoseconds()),
		DiskReadBytes: int64(u.GetDiskReadBytes()), DiskWrittenBytes: int64(u.GetDiskWrittenBytes()),
		NetworkReceivedBytes: int64(u.GetNetworkReceivedBytes()), NetworkSentBytes: int64(u.GetNetworkSentBytes()),
		NetworkReceivedPackets: int64(u.GetNetworkReceivedPackets()), NetworkSentPackets: int64(u.GetNetworkSentPackets()),
	}
}

func fromSample(s *pb.Sample) Sample {
	return Sample{
		At: s.GetAt().AsTime(), CPUUsedPercent: s.GetCpuUsedPercent(), CPU: time.Duration(s.GetCpuNanoseconds()),
		MemoryBytes: int64(s.GetMemoryBytes()), MemoryPeakBytes: int64(s.GetMemoryPeakBytes()),
		DiskReadBytes: int64(s.GetDiskReadBytes()), DiskWrittenBytes: int64(s.GetDiskWrittenBytes()),
		DiskAllocatedBytes:   int64(s.GetDiskAllocatedBytes()),
		NetworkReceivedBytes: int64(s.GetNetworkReceivedBytes()), NetworkSentBytes: int64(s.GetNetworkSentBytes()),
		NetworkReceivedPackets: int64(s.GetNetworkReceivedPackets()), NetworkSentPackets: int64(s.GetNetworkSentPackets()),
		Guest: fromGuestSample(s.GetGuest()),
	}
}

func fromGuestSample(s *pb.GuestSample) *GuestSample {
	if s == nil {
		return nil
	}
	return &GuestSample{
		At: s.GetAt().AsTime(), MemoryUsedBytes: int64(s.GetMemoryUsedBytes()), MemoryTotalBytes: int64(s.GetMemoryTotalBytes()),
		MemoryCacheBytes: int64(s.GetMemoryCacheBytes()), DiskUsedBytes: int64(s.GetDiskUsedBytes()), DiskTotalBytes: int64(s.GetDiskTotalBytes()),
	}
}
