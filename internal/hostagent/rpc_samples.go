package hostagent

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
)

// maxSampled is how many sandboxes one request may name.
const maxSampled = 1000

func (s *server) ListSamples(_ context.Context, request *connect.Request[pb.ListSamplesRequest]) (*connect.Response[pb.ListSamplesResponse], error) {
	if len(request.Msg.SandboxIds) > maxSampled {
		return nil, refuse(fmt.Errorf("%d sandbox IDs, %d are the most: %w", len(request.Msg.SandboxIds), maxSampled, sandbox.ErrInvalid))
	}
	var since time.Time
	if request.Msg.Since != nil {
		since = request.Msg.Since.AsTime()
	}
	response := &pb.ListSamplesResponse{}
	for _, sampled := range s.sandboxes.Samples(request.Msg.SandboxIds, since, request.Msg.LatestOnly) {
		response.Sandboxes = append(response.Sandboxes, toSamples(sampled))
	}
	return connect.NewResponse(response), nil
}

func toSamples(sampled sandbox.Sampled) *pb.SandboxSamples {
	all := &pb.SandboxSamples{
		SandboxId: sampled.Info.ID, VcpuCount: uint32(sampled.Info.VCPUCount),
		MemoryLimitBytes: uint64(sampled.Info.MemoryMiB) << 20, DiskLimitBytes: uint64(sampled.Info.DiskMiB) << 20,
		Usage: toUsage(sampled.Info), Samples: make([]*pb.Sample, 0, len(sampled.Samples)),
	}
	for _, sample := range sampled.Samples {
		all.Samples = append(all.Samples, toSample(sample))
	}
	return all
}

func toSample(s meter.Sample) *pb.Sample {
	return &pb.Sample{
		At: timestamppb.New(s.At), CpuUsedPercent: s.CPUUsedPercent, CpuNanoseconds: uint64(s.Counters.CPU),
		MemoryBytes: s.MemoryBytes, MemoryPeakBytes: s.MemoryPeakBytes,
		DiskReadBytes: s.Counters.DiskReadBytes, DiskWrittenBytes: s.Counters.DiskWrittenBytes, DiskAllocatedBytes: s.DiskAllocatedBytes,
		NetworkReceivedBytes: s.Counters.NetworkReceivedBytes, NetworkSentBytes: s.Counters.NetworkSentBytes,
		NetworkReceivedPackets: s.Counters.NetworkReceivedPackets, NetworkSentPackets: s.Counters.NetworkSentPackets,
		Guest: toGuestSample(s.Guest),
	}
}

func toGuestSample(report meter.GuestSample) *pb.GuestSample {
	if report.At.IsZero() {
		return nil
	}
	return &pb.GuestSample{
		At:              timestamppb.New(report.At),
		MemoryUsedBytes: report.MemoryUsedBytes, MemoryTotalBytes: report.MemoryTotalBytes, MemoryCacheBytes: report.MemoryCacheBytes,
		DiskUsedBytes: report.DiskUsedBytes, DiskTotalBytes: report.DiskTotalBytes,
	}
}

func toUsage(info sandbox.Info) *pb.Usage {
	u := info.Usage
	return &pb.Usage{
		RunningSeconds: u.Running.Seconds(), MemoryGibSeconds: u.MemoryGiBSeconds(info.MemoryMiB), CpuNanoseconds: uint64(u.CPU),
		DiskReadBytes: u.DiskReadBytes, DiskWrittenBytes: u.DiskWrittenBytes,
		NetworkReceivedBytes: u.NetworkReceivedBytes, NetworkSentBytes: u.NetworkSentBytes,
		NetworkReceivedPackets: u.NetworkReceivedPackets, NetworkSentPackets: u.NetworkSentPackets,
	}
}
