package hostagent

import (
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// reasonOf returns an error's reason.
func reasonOf(t *testing.T, err error) pb.Reason {
	t.Helper()
	var refused *connect.Error
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Details(), 1, "%v", err)
	value, detailErr := refused.Details()[0].Value()
	require.NoError(t, detailErr)
	refusal, ok := value.(*pb.Refusal)
	require.True(t, ok, "%T", value)
	return refusal.Reason
}

// testConcurrency begins operations on a running sandbox at once. Each waits for those
// before it.
func testConcurrency(t *testing.T, a *agentUnderTest, id string) {
	ctx := t.Context()
	pause := func() error {
		_, err := a.PauseSandbox(ctx, connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: id}))
		return err
	}
	resume := func() error {
		_, err := a.ResumeSandbox(ctx, connect.NewRequest(&pb.ResumeSandboxRequest{
			SandboxId: id, Identity: &pb.Identity{LifecycleId: uuid.NewString()},
		}))
		return err
	}
	snapshot := func() error {
		build := uuid.NewString()
		_, err := a.SnapshotSandbox(ctx, connect.NewRequest(&pb.SnapshotSandboxRequest{SandboxId: id, BuildId: build}))
		if err == nil {
			_, err = a.DeleteSnapshot(ctx, connect.NewRequest(&pb.DeleteSnapshotRequest{BuildId: build}))
		}
		return err
	}
	network := func() error {
		_, err := a.UpdateNetwork(ctx, connect.NewRequest(&pb.UpdateNetworkRequest{SandboxId: id, Network: &pb.NetworkPolicy{}}))
		return err
	}
	during := func(state pb.SandboxState, first, second func() error) error {
		done := make(chan error, 1)
		go func() { done <- first() }()
		require.Eventually(t, func() bool { return a.list(t)[id] == state }, 10*time.Second, time.Millisecond, "it must become %s", state)
		err := second()
		require.NoError(t, <-done)
		return err
	}
	atOnce(t, pause)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[id])
	require.Equal(t, pb.Reason_REASON_WRONG_STATE, reasonOf(t, snapshot()))
	atOnce(t, resume)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, a.list(t)[id])
	atOnce(t, network)
	require.NoError(t, during(pb.SandboxState_SANDBOX_STATE_SNAPSHOTTING, snapshot, snapshot))
	require.NoError(t, during(pb.SandboxState_SANDBOX_STATE_SNAPSHOTTING, snapshot, pause))
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[id])
	require.NoError(t, during(pb.SandboxState_SANDBOX_STATE_RESUMING, resume, pause))
	require.NoError(t, resume())
	require.Equal(t, pb.Reason_REASON_WRONG_STATE, reasonOf(t, during(pb.SandboxState_SANDBOX_STATE_PAUSING, pause, network)))
	require.NoError(t, resume())
	_, err := a.PauseSandbox(ctx, connect.NewRequest(&pb.PauseSandboxRequest{SandboxId: "inothing"}))
	require.Equal(t, pb.Reason_REASON_SANDBOX_NOT_FOUND, reasonOf(t, err))
}
