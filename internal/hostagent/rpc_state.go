package hostagent

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// states maps the sandbox states of this host to those of the protocol.
var states = map[state.State]pb.SandboxState{
	state.Creating:     pb.SandboxState_SANDBOX_STATE_CREATING,
	state.Running:      pb.SandboxState_SANDBOX_STATE_RUNNING,
	state.Updating:     pb.SandboxState_SANDBOX_STATE_RUNNING,
	state.Snapshotting: pb.SandboxState_SANDBOX_STATE_SNAPSHOTTING,
	state.Pausing:      pb.SandboxState_SANDBOX_STATE_PAUSING,
	state.Paused:       pb.SandboxState_SANDBOX_STATE_PAUSED,
	state.Resuming:     pb.SandboxState_SANDBOX_STATE_RESUMING,
	state.Killing:      pb.SandboxState_SANDBOX_STATE_KILLING,
	state.Gone:         pb.SandboxState_SANDBOX_STATE_GONE,
	state.Failed:       pb.SandboxState_SANDBOX_STATE_FAILED,
}

func toSandbox(info sandbox.Info) *pb.Sandbox {
	return &pb.Sandbox{
		SandboxId: info.ID, BuildId: info.BuildID, State: states[info.State],
		VcpuCount: uint32(info.VCPUCount), MemoryMib: uint32(info.MemoryMiB), DiskMib: uint32(info.DiskMiB),
		EnvdVersion: info.EnvdVersion, StartedAt: timestamppb.New(info.StartedAt), Reason: info.Reason,
		Usage: toUsage(info), SecretsRevision: info.SecretsRevision, GuestUnresponsive: info.GuestUnresponsive,
	}
}

// toCounts adds the counts of states that are one state in the protocol.
func toCounts(counts map[state.State]int) []*pb.SandboxCount {
	byState := make(map[pb.SandboxState]uint32)
	for counted, count := range counts {
		byState[states[counted]] += uint32(count)
	}
	all := make([]*pb.SandboxCount, 0, len(byState))
	for counted, count := range byState {
		all = append(all, &pb.SandboxCount{State: counted, Count: count})
	}
	return all
}
