package host

import (
	"time"

	"github.com/google/uuid"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// states are the states of the protocol as the domain knows them. One that is new to
// this control plane is none.
var states = map[pb.SandboxState]sandbox.State{
	pb.SandboxState_SANDBOX_STATE_CREATING: sandbox.Creating,
	pb.SandboxState_SANDBOX_STATE_RUNNING:  sandbox.Running,
	// It answers meanwhile.
	pb.SandboxState_SANDBOX_STATE_SNAPSHOTTING: sandbox.Running,
	pb.SandboxState_SANDBOX_STATE_PAUSING:      sandbox.Pausing,
	pb.SandboxState_SANDBOX_STATE_PAUSED:       sandbox.Paused,
	pb.SandboxState_SANDBOX_STATE_RESUMING:     sandbox.Resuming,
	pb.SandboxState_SANDBOX_STATE_KILLING:      sandbox.Killing,
	pb.SandboxState_SANDBOX_STATE_GONE:         sandbox.Killed,
	pb.SandboxState_SANDBOX_STATE_FAILED:       sandbox.Broken,
}

func fromSandbox(s *pb.Sandbox) Sandbox {
	return Sandbox{
		ID: s.GetSandboxId(), State: states[s.GetState()], VCPUCount: int32(s.GetVcpuCount()),
		MemoryMiB: int32(s.GetMemoryMib()), DiskMiB: int32(s.GetDiskMib()),
		EnvdVersion: s.GetEnvdVersion(), Reason: s.GetReason(), Usage: fromUsage(s.GetUsage()),
		SecretsRevision: s.GetSecretsRevision(), GuestUnresponsive: s.GetGuestUnresponsive(),
	}
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

func fromTemplate(t *pb.Template) Template {
	return Template{
		BuildID: t.GetBuildId(), Name: t.GetName(), VCPUCount: int32(t.GetVcpuCount()),
		MemoryMiB: int32(t.GetMemoryMib()), DiskMiB: int32(t.GetDiskMib()), EnvdVersion: t.GetEnvdVersion(),
		MadeBy: sandbox.Maker{Driver: t.GetDriver(), Accelerator: t.GetAccelerator()},
	}
}

func fromLoad(m *pb.GetInfoResponse) Load {
	load := Load{
		AllocatedCPUs: int32(m.AllocatedCpus), AllocatedMemoryBytes: int64(m.AllocatedMemoryBytes),
		MemoryAvailableBytes: int64(m.MemoryAvailableBytes), DiskAvailableBytes: int64(m.DiskAvailableBytes),
		CPUUsedPercent: m.CpuUsedPercent, MemoryPressurePercent: m.MemoryPressurePercent,
		Sandboxes: make(map[sandbox.State]int), ReadyCount: int(m.ReadyCount),
		CreatesSucceeded: int64(m.CreatesSucceeded), CreatesFailed: int64(m.CreatesFailed),
	}
	for _, counted := range m.SandboxCounts {
		load.Sandboxes[states[counted.State]] += int(counted.Count)
	}
	return load
}

// toCreation has the sandbox's ID for the request's: a request that is sent again
// succeeds with what the first one made.
func toCreation(creation Creation) *pb.CreateSandboxRequest {
	creating := creation.Sandbox
	return &pb.CreateSandboxRequest{
		SandboxId: creating.ID, BuildId: creating.BuildID.String(), RequestId: creating.ID,
		Identity: toIdentity(creation.EnvVars), Network: toNetwork(creating.Network), Secrets: toSecrets(creation.Secrets),
		VolumeMounts: toVolumeMounts(creating.VolumeMounts), WorkloadIdentity: toWorkload(creating.Workload()),
		Isolation: string(creating.Isolation), Size: toSize(creation.Size),
	}
}

// toSize is absent for a build's own size.
func toSize(size Size) *pb.Size {
	if size == (Size{}) {
		return nil
	}
	return &pb.Size{VcpuCount: uint32(size.VCPUCount), MemoryMib: uint32(size.MemoryMiB), DiskMib: uint32(size.DiskMiB)}
}

// toIdentity begins another life of a guest.
func toIdentity(envVars map[string]string) *pb.Identity {
	return &pb.Identity{EnvVars: envVars, LifecycleId: uuid.NewString()}
}

// toNetwork keeps the order of a domain's rules. A domain without rules is sent with an
// empty one, so that the host checks its name.
func toNetwork(network sandbox.Network) *pb.NetworkPolicy {
	policy := &pb.NetworkPolicy{
		DenyInternet: network.DeniesInternet(), AllowOut: network.AllowOut, DenyOut: network.DenyOut,
		MaskRequestHost: network.MaskRequestHost,
	}
	if proxy := network.EgressProxy; proxy != nil {
		policy.EgressProxy = &pb.EgressProxy{Address: proxy.Address, Username: proxy.Username, Password: proxy.Password}
		if proxy.TLS != nil {
			policy.EgressProxy.Tls, policy.EgressProxy.ServerName, policy.EgressProxy.CaCert = proxy.TLS.Enabled, proxy.TLS.ServerName, proxy.TLS.CACert
		}
	}
	for domain, rules := range network.Rules {
		if len(rules) == 0 {
			rules = []sandbox.NetworkRule{{}}
		}
		for _, rule := range rules {
			policy.Rules = append(policy.Rules, &pb.NetworkRule{Domain: domain, SetHeaders: rule.SetHeaders})
		}
	}
	return policy
}

func toSecrets(secrets sandbox.Secrets) *pb.Secrets {
	return &pb.Secrets{Values: secrets.Values, Revision: secrets.Revision}
}

func toVolumeMounts(mounts []sandbox.VolumeMount) []*pb.VolumeMount {
	all := make([]*pb.VolumeMount, 0, len(mounts))
	for _, mount := range mounts {
		all = append(all, &pb.VolumeMount{VolumeId: mount.VolumeID, Path: mount.Path})
	}
	return all
}

func toWorkload(identity workload.Identity) *pb.WorkloadIdentity {
	if len(identity.Tokens) == 0 {
		return nil
	}
	tokens := make(map[string]*pb.IdentityToken, len(identity.Tokens))
	for name, token := range identity.Tokens {
		tokens[name] = &pb.IdentityToken{Audience: token.Audience, TokenType: token.TokenType}
	}
	return &pb.WorkloadIdentity{TeamId: identity.TeamID, TemplateId: identity.TemplateID, Tokens: tokens}
}
